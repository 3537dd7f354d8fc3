// Colours of the ten classes, in the article's palette and in others.

const rgb = (list) =>
  list.split(" ").map((hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)));

export const PALETTES = {
  article: {
    label: "The article’s",
    digits: rgb("800000 e6194b 46f0f0 d2f53c fabebe aa6e28 aaffc3 a5a39f 008080 808000"),
  },
  // Paul Tol's "muted" scheme, made for readers with any of the common colour deficiencies.
  distinct: {
    label: "Colour-blind safe",
    digits: rgb("332288 88ccee 44aa99 117733 999933 ddcc77 cc6677 882255 aa4499 9a9a9a"),
  },
  // Ordered by lightness alone.
  light: {
    label: "Dark to light",
    digits: rgb("00204d 0d3271 39486b 575d6d 707173 8a8678 a59c74 c3b369 e1cc55 fde945"),
  },
};

export const css = ([r, g, b]) => `rgb(${r} ${g} ${b})`;
