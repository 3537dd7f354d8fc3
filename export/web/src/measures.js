// A state as numbers and as colours.

import { ALPHA, CLASSES, GREY } from "./ca.js";

/** The class that a cell of a digit chose, or -1 while all its logits are equal. */
export function chosen(ca, cell) {
  const end = (cell + 1) * ca.channels;
  const start = end - CLASSES;
  let best = start;
  let varied = false;
  for (let i = start + 1; i < end; i++) {
    if (ca.state[i] !== ca.state[start]) varied = true;
    if (ca.state[i] > ca.state[best]) best = i;
  }
  return varied ? best - start : -1;
}

/** Living cells, adversaries among them, and the fraction that chose each class. */
export function countVotes(ca) {
  const fractions = new Float64Array(CLASSES);
  let [living, adversaries] = [0, 0];
  for (let cell = 0; cell < ca.height * ca.width; cell++) {
    if (!ca.lives(cell)) continue;
    living++;
    adversaries += ca.adversaries[cell];
    const digit = chosen(ca, cell);
    if (digit >= 0) fractions[digit]++;
  }
  if (living) fractions.forEach((count, digit) => (fractions[digit] = count / living));
  return { living, adversaries, fractions };
}

/** Mean squared error of RGBA against a target in the middle of the grid. */
export function distance(ca, { side, values }) {
  const [top, left] = [(ca.height - side) >> 1, (ca.width - side) >> 1];
  let sum = 0;
  for (let row = 0, i = 0; row < ca.height; row++) {
    for (let column = 0; column < ca.width; column++, i += ca.channels) {
      const [y, x] = [row - top, column - left];
      const inside = y >= 0 && y < side && x >= 0 && x < side;
      for (let channel = 0; channel < 4; channel++) {
        const wanted = inside ? values[(y * side + x) * 4 + channel] : 0;
        const value = channel === ALPHA ? ca.alpha(i / ca.channels) : ca.state[i + channel];
        sum += (value - wanted) ** 2;
      }
    }
  }
  return sum / (ca.height * ca.width * 4);
}

/** Of the cells that a species has, the fraction that adversaries have. */
export function invadedFraction(ca) {
  const cells = [...ca.adversaries.keys()];
  const owned = cells.filter((cell) => ca.adversaries[cell] || ca.lives(cell)).length;
  return ca.adversaries.reduce((sum, cell) => sum + cell, 0) / Math.max(1, owned);
}

const UNDECIDED = [0, 0, 0];
const PAPER = [255, 255, 255];

/** Digits in the colours of the classes that their cells chose; faint ink is faint. */
export function paintDigits(ca, colours, pixels) {
  for (let cell = 0; cell < ca.height * ca.width; cell++) {
    const grey = ca.lives(cell) ? Math.min(1, ca.state[cell * ca.channels + GREY]) : 0;
    const digit = grey ? chosen(ca, cell) : -1;
    const colour = digit < 0 ? UNDECIDED : colours[digit];
    for (let i = 0; i < 3; i++) pixels[cell * 4 + i] = colour[i] * grey + PAPER[i] * (1 - grey);
    pixels[cell * 4 + 3] = 255;
  }
}

/** By cell, the fraction of the digit that an adversary there makes read an 8; from a byte per living cell. */
export function spread(ca, weak) {
  const fractions = new Float32Array(ca.height * ca.width);
  let next = 0;
  fractions.forEach((_, cell) => ca.lives(cell) && (fractions[cell] = weak[next++] / 255));
  return fractions;
}

const REDNESS = 0.1;

/** Whether a cell of the lizard is more red than green. */
export function isRed(ca, cell) {
  const start = cell * ca.channels;
  return ca.state[start] - ca.state[start + 1] > REDNESS;
}

/** All cells live and have no alpha: half of each colour's channel, raised by a half. */
export function paintTexture(ca, pixels) {
  for (let cell = 0; cell < ca.height * ca.width; cell++) {
    for (let i = 0; i < 3; i++) pixels[cell * 4 + i] = 255 * (ca.state[cell * ca.channels + i] / 2 + 0.5);
    pixels[cell * 4 + 3] = 255;
  }
}

/** RGB is premultiplied: here it is put on white paper. */
export function paintGrown(ca, pixels) {
  for (let cell = 0; cell < ca.height * ca.width; cell++) {
    const start = cell * ca.channels;
    const rest = 1 - Math.min(1, Math.max(0, ca.alpha(cell)));
    for (let i = 0; i < 3; i++) pixels[cell * 4 + i] = 255 * (rest + ca.state[start + i]);
    pixels[cell * 4 + 3] = 255;
  }
}
