// Colours of the ten classes, in the article's palette and in others. `hatch` marks red parts of the
// lizard, for readers who do not tell red from green.

const rgb = (list) =>
  list.split(" ").map((hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)));

export const PALETTES = {
  article: {
    label: "The article’s",
    hatch: false,
    digits: rgb("800000 e6194b 46f0f0 d2f53c fabebe aa6e28 aaffc3 a5a39f 008080 808000"),
  },
  // Each at least 3:1 against white. Any two, black and the adversaries' red included, are at least 24
  // apart in CIELAB, as seen with normal sight, protanopia, deuteranopia and tritanopia.
  distinct: {
    label: "Colour-blind safe",
    digits: rgb("5c5e4a a82590 821c00 728edb 5f00ab b4875c b44dfe ea5498 033b46 1b16fc"),
    hatch: true,
  },
  // Ordered by lightness alone.
  light: {
    label: "Dark to light",
    digits: rgb("00204d 0d3271 39486b 575d6d 707173 8a8678 a59c74 c3b369 e1cc55 fde945"),
    hatch: true,
  },
};

export const css = ([r, g, b]) => `rgb(${r} ${g} ${b})`;
