// tfnca/randomness.py in JavaScript. Every draw is a hash of (seed, step, network, item, row,
// column), so a seed means the same run in Python and here, and a crop of the grid draws what
// the whole grid would.

export function absorb(key, word) {
  let x = ((key ^ word) + 0x9e3779b9) | 0;
  x ^= x >>> 16;
  x = Math.imul(x, 0x7feb352d);
  x ^= x >>> 15;
  x = Math.imul(x, 0x846ca68b);
  return x ^ (x >>> 16);
}

/** Calls `visit(hash)` for each cell of a box, row by row. */
function eachCell(box, seed, index, network, visit) {
  // The seed's upper word and the batch item are 0 here.
  const key = [seed, 0, index, network, 0].reduce(absorb, 0);
  for (let row = box.top; row < box.top + box.height; row++) {
    const rowKey = absorb(key, row);
    for (let column = box.left; column < box.left + box.width; column++) {
      visit(absorb(rowKey, column));
    }
  }
}

/** 1 where a cell of the box fires in this step; one rate a network. */
export function fireMask(box, rates, seed, index) {
  const mask = new Float32Array(rates.length * box.height * box.width);
  let cell = 0;
  rates.forEach((rate, network) => {
    eachCell(box, seed, index, network, (hash) => {
      mask[cell++] = (hash >>> 8) * 2 ** -24 < rate ? 1 : 0;
    });
  });
  return mask;
}

/** Normal draws for each cell and channel of the box; one standard deviation a network. */
export function noise(box, channels, deviations, seed, index) {
  const draws = new Float32Array(deviations.length * box.height * box.width * channels);
  let draw = 0;
  deviations.forEach((deviation, network) => {
    eachCell(box, seed, index, network, (hash) => {
      for (let channel = 1; channel <= channels; channel++) {
        draws[draw++] = deviation * NORMAL_LEVELS[absorb(hash, channel) >>> 20];
      }
    });
  });
  return draws;
}

const NORMAL_LEVELS = normalLevels(4096);

/** Standard normal quantiles at evenly spaced probabilities, scaled to unit variance. */
function normalLevels(count) {
  const levels = Float64Array.from({ length: count }, (_, i) => quantile((i + 0.5) / count));
  const variance = levels.reduce((sum, x) => sum + x * x, 0) / count;
  return Float32Array.from(levels, (x) => x / Math.sqrt(variance));
}

/** The normal distribution's inverse, by Newton's method on the series of its integral. */
function quantile(probability) {
  if (probability > 0.5) return -quantile(1 - probability);
  let x = 0;
  for (let round = 0; round < 60; round++) {
    const density = Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
    let term = x;
    let sum = x;
    for (let n = 3; Math.abs(term) > 1e-17; n += 2) sum += term *= (x * x) / n;
    const change = (0.5 + density * sum - probability) / density;
    x -= Math.max(-0.5, Math.min(0.5, change));
    if (Math.abs(change) < 1e-14) break;
  }
  return x;
}
