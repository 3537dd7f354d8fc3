// tfnca.js: the cellular automata without the page, for pages of others. See example.html.

export { CA, combine } from "./ca.js";
export { start } from "./backend.js";
export { clear, loadDigit, plantSeed, setAdversary, sprinkle } from "./edits.js";
export { countVotes, distance, paintDigits, paintGrown, paintTexture } from "./measures.js";
export { Model } from "./model.js";
export { readMatrix } from "./npy.js";
export { PALETTES } from "./palette.js";
