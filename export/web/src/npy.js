// NumPy's files: a perturbation's matrix. They may come from a visitor, so all is checked first.

const MAGIC = "\x93NUMPY";
const READERS = { "<f4": [4, "getFloat32"], "<f8": [8, "getFloat64"] };
const LARGEST = 3; // states end at ±3: no matrix that runs has entries far beyond that

/**
 * @param {ArrayBuffer} buffer a `.npy` file
 * @param {string} name of the file, for messages
 * @param {number} side rows and columns that the matrix must have
 * @returns {number[][]} rows of numbers
 */
export function readMatrix(buffer, name, side = 16) {
  const view = new DataView(buffer);
  const text = (from, to) => String.fromCharCode(...new Uint8Array(buffer.slice(from, to)));
  if (text(0, 6) !== MAGIC) throw new Error(`${name} is not a NumPy file (.npy).`);
  const begin = 10 + (view.byteLength > 9 && view.getUint16(8, true));
  const header = text(10, begin);
  const [, dtype] = header.match(/'descr':\s*'([^']*)'/) ?? [];
  const [, shape] = header.match(/'shape':\s*\(([^)]*)\)/) ?? [];
  const fortran = /'fortran_order':\s*True/.test(header);
  const sizes = (shape ?? "").split(",").filter((size) => size.trim()).map(Number);
  if (sizes.length !== 2 || sizes.some((size) => size !== side)) {
    throw new Error(`${name} must hold a ${side}×${side} matrix. Received: shape (${sizes.join(", ")}).`);
  }
  if (view.getUint8(6) !== 1 || !READERS[dtype]) {
    throw new Error(`${name} must hold float32 or float64 numbers. Received: ${dtype ?? "no type"}.`);
  }
  const [bytes, get] = READERS[dtype];
  if (view.byteLength !== begin + bytes * side * side) throw new Error(`${name} is cut off or damaged.`);
  const at = (i, j) => view[get](begin + bytes * (fortran ? j * side + i : i * side + j), true);
  const rows = Array.from({ length: side }, (_, i) => Array.from({ length: side }, (_, j) => at(i, j)));
  if (!rows.flat().every((value) => Math.abs(value) <= 100 * LARGEST)) {
    throw new Error(`${name} holds values that are not finite or far too large.`);
  }
  return rows;
}
