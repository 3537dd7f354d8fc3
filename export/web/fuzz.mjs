// Feeds damaged files and links to the readers of `moment.js` and `npy.js`: node fuzz.mjs [CASES] [SEED]
// A reader may read, or refuse with a line that names the file. Anything else ends with code 1.

import { gunzipSync, gzipSync } from "node:zlib";
import { readMatrix } from "./src/npy.js";
import { fromBits, fromHash, pack, toHash, unpack } from "./src/moment.js";

const [cases = 2000, seed = 0] = process.argv.slice(2).map(Number);
let word = seed + 1;
const random = () => {
  word = Math.imul(word ^ (word >>> 15), 1 | word) ^ Math.imul(word ^ (word >>> 7), 61 | word);
  word = (word + 0x6d2b79f5) | 0;
  return (word >>> 0) / 2 ** 32;
};
const below = (count) => Math.floor(random() * count);

const size = { kind: "growing", height: 6, width: 5, channels: 16 };
const cells = size.height * size.width;
const ca = { ...size, index: 7, seed: 3, adversaries: new Array(cells).fill(0) };
ca.state = Array.from({ length: cells * size.channels }, (_, i) => Math.sin(i));
const good = Buffer.from(await (await pack(ca)).arrayBuffer());
const header = "{'descr': '<f4', 'fortran_order': False, 'shape': (16, 16), }".padEnd(117) + "\n";
const matrix = Buffer.concat([
  Buffer.from("\x93NUMPY\x01\x00v\x00", "latin1"),
  Buffer.from(header, "latin1"),
  Buffer.from(Float32Array.from({ length: 256 }, (_, i) => Math.sin(i)).buffer),
]);
const link = toHash({ k: 0.5, seed: 12, mask: "abc-_", step: 400 });

function damage(bytes) {
  const out = [...bytes];
  for (let i = 0; i <= below(4); i++) {
    const place = below(out.length + 1);
    const what = below(5);
    if (what === 0) out[place] = below(256);
    else if (what === 1) out.length = place;
    else if (what === 2) out.splice(place, below(20));
    else if (what === 3) out.splice(place, 0, ...Array.from({ length: below(20) }, () => below(256)));
    else out.splice(place, 0, ...out.slice(place, place + below(500)));
  }
  return Buffer.from(out);
}

const counts = { read: 0, refused: 0, found: 0 };
const began = Date.now();
for (let number = 0; number < cases; number++) {
  const bytes = random() < 0.3 ? damage(good) : gzipSync(damage(gunzipSync(good)));
  const file = new File([bytes], "moment.gz");
  try {
    const { state, adversaries, index } = await unpack(file, ca);
    const right = state.length === ca.state.length && state.every(Number.isFinite);
    if (!right || adversaries.length !== cells || !(index >= 0)) throw new TypeError("accepted");
    counts.read++;
  } catch (error) {
    const refused = error.constructor === Error && error.message.startsWith("moment.gz ");
    counts[refused ? "refused" : "found"]++;
    if (!refused) console.error(`case ${number}:`, error);
  }
  const broken = number ? damage(matrix) : matrix;
  try {
    const rows = readMatrix(broken.buffer.slice(broken.byteOffset, broken.byteOffset + broken.length), "mine.npy");
    const right = rows.length === 16 && rows.every((row) => row.length === 16 && row.every(Number.isFinite));
    if (!right) throw new TypeError("accepted");
    counts.read++;
  } catch (error) {
    const refused = number && error.constructor === Error && error.message.startsWith("mine.npy ");
    counts[refused ? "refused" : "found"]++;
    if (!refused) console.error(`case ${number}, matrix:`, error);
  }
  const hash = damage(Buffer.from(link)).toString("latin1");
  try {
    for (const value of Object.values(fromHash(hash))) {
      if (typeof value === "number" ? !Number.isFinite(value) : value.length > 1200) {
        throw new TypeError(`accepted ${value}`);
      }
      if (fromBits(String(value), cells).length !== cells) throw new TypeError("bits");
    }
  } catch (error) {
    counts.found++;
    console.error(`case ${number}, link ${JSON.stringify(hash)}:`, error);
  }
}
console.log(`${cases} cases in ${(Date.now() - began) / 1000} s:`, JSON.stringify(counts));
process.exit(counts.found ? 1 : 0);
