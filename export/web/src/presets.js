// The article's Figures 11 to 14 as schedules: weights k at steps, linear in between.

export const FIGURES = {
  11: {
    needs: ["no_tail"],
    note: "The no-tail matrix acts from the seed on. It is off from step 500 to 1,000, and the tail grows back; then it acts again.",
    weights: [[0, { no_tail: 1 }]],
    off: [500, 1000],
  },
  12: {
    needs: ["no_tail"],
    note: "From step 200 to 1,000, the strength of the no-tail matrix falls from 1 to −1: the tail comes back, then grows too long.",
    weights: [
      [0, { no_tail: 1 }],
      [200, { no_tail: 1 }],
      [1000, { no_tail: -1 }],
    ],
  },
  13: {
    needs: ["no_tail", "no_leg"],
    note: "From no tail to no leg: two matrices whose strengths always add up to 1.",
    weights: [
      [0, { no_tail: 1, no_leg: 0 }],
      [200, { no_tail: 1, no_leg: 0 }],
      [900, { no_tail: 0, no_leg: 1 }],
    ],
  },
  14: {
    needs: ["no_tail", "no_leg"],
    note: "Both matrices at full strength, on a grown lizard, from step 200 on.",
    weights: [
      [0, { no_tail: 0, no_leg: 0 }],
      [200, { no_tail: 0, no_leg: 0 }],
      [200, { no_tail: 1, no_leg: 1 }],
    ],
  },
};

/** The next step at which a figure switches or turns; a run must not make it in one leap. */
export function nextTurn({ weights, off = [] }, step) {
  return Math.min(...[...off, ...weights.map(([when]) => when)].filter((when) => when > step));
}

/** The weights and the switch of a figure at a step. */
export function at({ weights, off = [Infinity, Infinity] }, step) {
  const later = weights.find(([when]) => when > step);
  const earlier = weights.findLast(([when]) => when <= step);
  const fraction = later ? (step - earlier[0]) / (later[0] - earlier[0]) : 0;
  const mixed = Object.entries(earlier[1]).map(([name, k]) => [
    name,
    later ? k + fraction * (later[1][name] - k) : k,
  ]);
  return { weights: Object.fromEntries(mixed), off: step >= off[0] && step < off[1] };
}
