// A moment of a playground: as a small file that continues where it was saved, and the settings as a
// link. Both may come from strangers, so all that is read is checked first.

const FORMAT = "tfnca moment 1";
const LARGEST = 4e6; // bytes, unpacked
const WILDEST = 1e4; // no state that runs has larger values

/** @returns {Promise<Blob>} gzip of a line of JSON, the state as float32, the adversaries as bytes */
export async function pack(ca) {
  const { kind, height, width, channels, index, seed } = ca;
  const header = JSON.stringify({ format: FORMAT, kind, height, width, channels, index, seed });
  const parts = new Blob([`${header}\n`, Float32Array.from(ca.state), Uint8Array.from(ca.adversaries)]);
  return new Response(parts.stream().pipeThrough(new CompressionStream("gzip"))).blob();
}

/** What `pack` wrote, as `ca.restore` takes it, if it fits this CA. */
export async function unpack(file, ca) {
  const bytes = await unzip(file);
  const end = bytes.indexOf(10);
  let header = null;
  try {
    header = JSON.parse(new TextDecoder().decode(bytes.subarray(0, Math.max(0, Math.min(end, 1000)))));
  } catch {
    // said below
  }
  if (header?.format !== FORMAT) throw new Error(`${file.name} is not a step saved by this page.`);
  for (const name of ["kind", "height", "width", "channels"]) {
    if (header[name] !== ca[name]) {
      throw new Error(`${file.name} belongs to another playground (${name}: ${String(header[name]).slice(0, 20)}).`);
    }
  }
  const cells = ca.height * ca.width;
  const body = bytes.slice(end + 1);
  if (body.length !== 4 * cells * ca.channels + cells) throw new Error(`${file.name} is cut off or damaged.`);
  const state = new Float32Array(body.buffer, 0, cells * ca.channels);
  const adversaries = body.subarray(4 * state.length);
  const whole = (value) => Number.isSafeInteger(value) && value >= 0;
  if (
    !whole(header.index) ||
    !whole(header.seed) ||
    header.seed >= 2 ** 32 ||
    !state.every((value) => Math.abs(value) <= WILDEST) ||
    !adversaries.every((value) => value <= 1)
  ) {
    throw new Error(`${file.name} holds values that no run can reach.`);
  }
  return { state, adversaries, index: header.index, seed: header.seed };
}

async function unzip(file) {
  const reader = file.stream().pipeThrough(new DecompressionStream("gzip")).getReader();
  const chunks = [];
  let size = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      size += value.length;
      if (size > LARGEST) break;
      chunks.push(value);
    }
  } catch {
    throw new Error(`${file.name} is not a step saved by this page.`);
  }
  if (size > LARGEST) {
    reader.cancel().catch(() => {});
    throw new Error(`${file.name} is far too large for a saved step.`);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

/** Zeros and ones as letters: six of them a letter, of the alphabet that addresses keep as it is. */
export function toBits(values) {
  const bytes = new Uint8Array(Math.ceil(values.length / 8));
  values.forEach((value, i) => value && (bytes[i >> 3] |= 1 << (i & 7)));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** What `toBits` wrote, `count` of them; zeros if it is something else. */
export function fromBits(text, count) {
  let bytes = "";
  try {
    bytes = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  } catch {
    // zeros
  }
  if (bytes.length !== Math.ceil(count / 8)) bytes = "";
  return Uint8Array.from({ length: count }, (_, i) => (bytes.charCodeAt(i >> 3) >> (i & 7)) & 1);
}

/** Settings as a link's hash: numbers and names, by name. */
export function toHash(settings) {
  const entries = Object.entries(settings).filter(([, value]) => value !== undefined);
  return `#${new URLSearchParams(entries)}`;
}

/** A hash's numbers within ±limit and plain words; everything else is left out. */
export function fromHash(hash, limit = 2 ** 53) {
  const settings = {};
  for (const [name, text] of new URLSearchParams(hash.slice(1, 3000))) {
    if (!/^\w{1,40}$/.test(name)) continue;
    const number = Number(text);
    if (text.trim() && Number.isFinite(number) && Math.abs(number) <= limit) settings[name] = number;
    else if (/^[\w-]{1,1200}$/.test(text)) settings[name] = text;
  }
  return settings;
}
