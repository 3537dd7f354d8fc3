// A cellular automaton on a grid: its state, its adversaries, its perturbation, and the step.
// Knows TF.js, but no page.

import * as tf from "@tensorflow/tfjs-core";
import { fireMask, noise } from "./random.js";

export const ALPHA = 3;
export const GREY = 0;
export const CLASSES = 10;
export const LIVING_THRESHOLD = 0.1;
const STATE_BOUND = 3;
const TOLERANCE = 5; // standard deviations of the host's noise
const BOX_UNIT = 8; // few sizes of box: a GPU compiles its kernels anew for each

/**
 * What sets the two kinds apart: which channel tells where cells are, from which value on, and
 * how far in one step life can spread: [alone, under a perturbation].
 */
export const KINDS = {
  growing: { channels: 16, presence: ALPHA, above: LIVING_THRESHOLD, spread: [1, 2], margin: 1 },
  // A faint pixel of a digit does not live, yet its neighbours see it.
  mnist: { channels: 20, presence: GREY, above: 0, spread: [0, 0], margin: 0 },
  // All cells live, so there is no box of those that do: see `become`.
  texture: { channels: 12 },
};

export class CA {
  /**
   * @param {string} kind "growing" or "mnist"
   * @param {number} height of the grid in cells
   * @param {number} width of the grid in cells
   * @param {number} seed of the fire masks and the noise
   */
  constructor(kind, height, width, seed = 0) {
    Object.assign(this, { kind, height, width, seed }, KINDS[kind]);
    this.state = new Float32Array(height * width * this.channels);
    this.adversaries = new Uint8Array(height * width);
    this.index = 0; // steps made so far; the fire masks follow from it
    this.host = null; // graph of one network
    this.injected = null; // graph of two: the host and the adversary
    this.matrix = null; // perturbation, rows of numbers
    this.defended = false; // whether digits' cells that deviate from the host's rule are silenced
    this.spreads = false; // whether the last channel is the alpha of adversaries that spread
    this.crop = true; // false: every step on the whole grid, to compare
    this.waiting = null; // edits made during a step, to apply after it
  }

  /** Empties the grid for a model of another kind, of other channels, or without a box. */
  become({ kind, channels, crop, spreads }) {
    Object.assign(this, { kind, ...KINDS[kind], channels, crop, spreads, index: 0 });
    this.state = new Float32Array(this.height * this.width * channels);
    this.adversaries.fill(0);
  }

  /** Gives the grid's cells to a model whose adversaries spread, or back to one whose do not. */
  share(spreads) {
    if (spreads === this.spreads) return;
    const [before, old] = [this.state, this.channels];
    const kept = KINDS[this.kind].channels;
    if (!spreads) for (let cell = 0; cell < this.adversaries.length; cell++) before[cell * old + ALPHA] = this.alpha(cell);
    Object.assign(this, { spreads, channels: kept + (spreads ? 1 : 0) });
    this.state = new Float32Array(this.height * this.width * this.channels);
    for (let cell = 0; cell < this.adversaries.length; cell++) {
      this.state.set(before.subarray(cell * old, cell * old + kept), cell * this.channels);
    }
    this.adversaries.fill(0);
  }

  /** Makes `count` steps. Only a box around the living cells is computed; the rest is dead. */
  async step(count = 1) {
    const box = this.crop ? this.livingBox(count) : this.wholeGrid();
    const adversarial = this.injected && (!this.host || this.adversaries.some(Boolean));
    const graph = adversarial ? this.injected : this.host;
    const first = this.index;
    if (!box || !graph) {
      this.index += count;
      return;
    }
    this.waiting = [];
    let state = this.#cut(box);
    try {
      for (let i = 0; i < count; i++) {
        const next = tf.tidy(() => this.#next(state, graph, adversarial, box, first + i));
        state.dispose();
        state = next;
      }
      this.#paste(box, await state.data());
      this.#findOwners();
    } finally {
      state.dispose();
      this.index += count; // before the edits, since one may set it back to 0
      const edits = this.waiting;
      this.waiting = null;
      for (const edit of edits) this.edit(edit);
    }
  }

  /** Applies `change(ca)` now, or after the step that is under way. */
  edit(change) {
    if (this.waiting) this.waiting.push(change);
    else {
      change(this);
      this.#giveCells();
    }
  }

  /** The sum of a cell's alphas. */
  alpha(cell) {
    const start = cell * this.channels;
    return this.state[start + ALPHA] + (this.spreads ? this.state[start + this.channels - 1] : 0);
  }

  /** Whether adversaries that spread have the larger alpha in a cell. */
  #invaded(cell) {
    const start = cell * this.channels;
    const own = this.state[start + this.channels - 1];
    return own >= LIVING_THRESHOLD && own > this.state[start + ALPHA];
  }

  /** Marks the cells of adversaries that spread. */
  #findOwners() {
    if (!this.spreads) return;
    for (let cell = 0; cell < this.adversaries.length; cell++) {
      this.adversaries[cell] = this.#invaded(cell) ? 1 : 0;
    }
  }

  /** Gives the cells whose mark was changed to their new species, as `tfnca.Invasion.invade` does. */
  #giveCells() {
    if (!this.spreads) return;
    this.adversaries.forEach((wanted, cell) => {
      if (Boolean(wanted) === this.#invaded(cell)) return;
      const [start, total] = [cell * this.channels, this.alpha(cell)];
      this.state[start + ALPHA] = wanted ? 0 : total;
      this.state[start + this.channels - 1] = wanted ? total : 0;
    });
    this.#findOwners();
  }

  snapshot() {
    return { state: this.state.slice(), adversaries: this.adversaries.slice() };
  }

  restore({ state, adversaries }) {
    this.state.set(state);
    this.adversaries.set(adversaries);
  }

  lives(cell) {
    return (this.spreads ? this.alpha(cell) : this.state[cell * this.channels + this.presence]) > LIVING_THRESHOLD;
  }

  wholeGrid() {
    return { top: 0, left: 0, height: this.height, width: this.width };
  }

  /** The box of all cells that can matter in the next `count` steps; null if none. */
  livingBox(count) {
    let [top, left, bottom, right] = [this.height, this.width, -1, -1];
    for (let row = 0, cell = 0; row < this.height; row++) {
      for (let column = 0; column < this.width; column++, cell++) {
        const here = this.spreads ? this.alpha(cell) : this.state[cell * this.channels + this.presence];
        if (!(here > this.above)) continue;
        if (row < top) top = row;
        if (row > bottom) bottom = row;
        if (column < left) left = column;
        if (column > right) right = column;
      }
    }
    if (bottom < 0) {
      this.state.fill(0); // the remaining cells have no grown neighbour and die
      return null;
    }
    const margin = this.spread[this.matrix ? 1 : 0] * count + this.margin;
    const span = (low, high, limit) => {
      const [from, to] = [Math.max(0, low - margin), Math.min(limit, high + 1 + margin)];
      const size = Math.min(limit, Math.ceil((to - from) / BOX_UNIT) * BOX_UNIT);
      return [Math.min(from, limit - size), size];
    };
    const [boxTop, height] = span(top, bottom, this.height);
    const [boxLeft, width] = span(left, right, this.width);
    return { top: boxTop, left: boxLeft, height, width };
  }

  #next(state, graph, adversarial, { top, left, height, width }, index) {
    const box = { top, left, height, width };
    const shape = [graph.networks, 1, height, width];
    const inputs = {
      state: this.matrix ? this.#perturb(state) : state,
      fire_mask: tf.tensor(fireMask(box, graph.fireRates, this.seed, index), shape),
    };
    if (adversarial) inputs.mask = tf.tensor(this.#cutMask(box), [1, height, width]);
    if (graph.noisy) {
      const channels = this.channels - 1; // grey never changes
      const draws = noise(box, channels, graph.noiseDeviations, this.seed, index);
      inputs.noise = tf.tensor(draws, [...shape, channels]);
    }
    const after = graph.run(inputs);
    return this.defended && this.host && adversarial ? this.#silence(state, after) : after;
  }

  /** The deviation test, as `tfnca.Verified` does it: a cell that breaks the rule loses all but its ink. */
  #silence(before, after) {
    const [, height, width, channels] = before.shape;
    const byTheRule = this.host.run({
      state: before,
      fire_mask: tf.ones([1, 1, height, width]),
      noise: tf.zeros([1, 1, height, width, channels - 1]),
    });
    const deviation = tf.max(tf.abs(tf.sub(after, byTheRule)), -1, true);
    const rests = tf.all(tf.equal(after, before), -1, true);
    const most = TOLERANCE * this.host.noiseDeviations[0];
    const follows = tf.cast(tf.logicalOr(rests, tf.lessEqual(deviation, most)), "float32");
    const [ink, rest] = tf.split(after, [1, channels - 1], -1);
    return tf.concat([ink, tf.mul(rest, follows)], -1);
  }

  /** Multiplies every living cell by the matrix, as in training: before the step, clipped. */
  #perturb(state) {
    const alpha = tf.slice(state, [0, 0, 0, ALPHA], [-1, -1, -1, 1]);
    const alive = tf.greater(tf.maxPool(alpha, 3, 1, "same"), LIVING_THRESHOLD);
    const cells = tf.reshape(state, [-1, this.channels]);
    const product = tf.clipByValue(
      tf.matMul(cells, tf.tensor2d(this.matrix)),
      -STATE_BOUND,
      STATE_BOUND,
    );
    return tf.mul(tf.reshape(product, state.shape), tf.cast(alive, "float32"));
  }

  #cut(box) {
    const values = new Float32Array(box.height * box.width * this.channels);
    const length = box.width * this.channels;
    for (let row = 0; row < box.height; row++) {
      const start = ((box.top + row) * this.width + box.left) * this.channels;
      values.set(this.state.subarray(start, start + length), row * length);
    }
    return tf.tensor4d(values, [1, box.height, box.width, this.channels]);
  }

  #cutMask(box) {
    const values = new Float32Array(box.height * box.width);
    for (let row = 0; row < box.height; row++) {
      const start = (box.top + row) * this.width + box.left;
      values.set(this.adversaries.subarray(start, start + box.width), row * box.width);
    }
    return values;
  }

  #paste(box, values) {
    const length = box.width * this.channels;
    this.state.fill(0);
    for (let row = 0; row < box.height; row++) {
      const start = ((box.top + row) * this.width + box.left) * this.channels;
      this.state.set(values.subarray(row * length, (row + 1) * length), start);
    }
  }
}

/** A = I + Σ kᵢ (Aᵢ − I), or null where that is the identity. */
export function combine(matrices, weights) {
  const active = Object.keys(matrices).filter((name) => weights[name]);
  if (!active.length) return null;
  const side = matrices[active[0]].length;
  return Array.from({ length: side }, (_, i) =>
    Array.from({ length: side }, (_, j) => {
      const identity = i === j ? 1 : 0;
      return active.reduce(
        (sum, name) => sum + weights[name] * (matrices[name][i][j] - identity),
        identity,
      );
    }),
  );
}
