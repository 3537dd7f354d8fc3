// What a visitor can do to a CA: changes for `ca.edit`. Each takes the CA first.

import { ALPHA, GREY, LIVING_THRESHOLD } from "./ca.js";

export function clear(ca) {
  ca.state.fill(0);
  ca.adversaries.fill(0);
}

/** Visits the cells within `radius` of a point, with their distance from it. */
function disc(ca, { row, column }, radius, visit) {
  const reach = Math.ceil(radius);
  for (let y = Math.max(0, row - reach); y <= Math.min(ca.height - 1, row + reach); y++) {
    for (let x = Math.max(0, column - reach); x <= Math.min(ca.width - 1, column + reach); x++) {
      const distance = Math.hypot(y - row, x - column);
      if (distance <= radius) visit(y * ca.width + x, distance);
    }
  }
}

/** A digit of 28×28 bytes in the middle of an empty grid. */
export function loadDigit(ca, bytes) {
  clear(ca);
  const side = Math.sqrt(bytes.length);
  const [top, left] = [(ca.height - side) >> 1, (ca.width - side) >> 1];
  bytes.forEach((byte, i) => {
    const cell = (top + Math.floor(i / side)) * ca.width + left + (i % side);
    ca.state[cell * ca.channels + GREY] = byte / 255;
  });
}

/** Keeps the ink and resets all other channels. */
export function startAnew(ca) {
  for (let i = 0; i < ca.state.length; i++) if (i % ca.channels !== GREY) ca.state[i] = 0;
}

/** Ink with a soft edge, as MNIST's digits have it. */
export function ink(ca, point, size) {
  const radius = size / 2;
  disc(ca, point, radius + 0.5, (cell, distance) => {
    const grey = Math.min(1, radius + 0.5 - distance);
    const i = cell * ca.channels + GREY;
    if (grey > LIVING_THRESHOLD) ca.state[i] = Math.max(ca.state[i], grey);
  });
}

/** Empties the cells under a brush, adversaries included. */
export function erase(ca, point, size) {
  disc(ca, point, size / 2, (cell) => {
    ca.state.fill(0, cell * ca.channels, (cell + 1) * ca.channels);
    ca.adversaries[cell] = 0;
  });
}

/** A seed as a Growing CA starts from: alpha and the hidden channels at 1. */
export function plantSeed(ca, { row, column }) {
  const start = (row * ca.width + column) * ca.channels;
  ca.state.fill(1, start + ALPHA, start + ca.channels - (ca.spreads ? 1 : 0));
}

/** Makes one cell an adversary or takes it back. On paper without ink it brings its own. */
export function setAdversary(ca, { row, column }, on) {
  const cell = row * ca.width + column;
  ca.adversaries[cell] = on ? 1 : 0;
  if (on && ca.kind === "mnist" && !ca.lives(cell)) ca.state[cell * ca.channels + GREY] = 1;
}

export function setAdversaries(ca, point, size, on) {
  disc(ca, point, size / 2, (cell) => (ca.adversaries[cell] = on ? 1 : 0));
}

/** Makes a fraction of the allowed cells adversaries, at least one of them. */
export function sprinkle(ca, fraction, allowed) {
  const cells = [...ca.adversaries.keys()].filter(allowed);
  ca.adversaries.fill(0);
  for (let left = Math.max(1, Math.round(fraction * cells.length)); left && cells.length; left--) {
    const [cell] = cells.splice(Math.floor(Math.random() * cells.length), 1);
    ca.adversaries[cell] = 1;
  }
}

/** The cells on a straight line between two, the first left out. */
export function line(from, to) {
  const steps = Math.max(Math.abs(to.row - from.row), Math.abs(to.column - from.column));
  return Array.from({ length: steps }, (_, i) => ({
    row: Math.round(from.row + ((to.row - from.row) * (i + 1)) / steps),
    column: Math.round(from.column + ((to.column - from.column) * (i + 1)) / steps),
  }));
}
