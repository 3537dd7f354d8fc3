// The last ten seconds of what a playground showed, as a GIF.

const PER_SECOND = 10;
const SECONDS = 10;
const GAP = 2; // cells between two screens
const MARK = [255, 0, 0];
const EDGE = 288; // pixels of a side, about

export class Recorder {
  constructor() {
    this.frames = [];
    this.at = -Infinity;
  }

  /** Keeps what the screens show, side by side, if the last frame is old enough. */
  see(screens, now = performance.now()) {
    if (now - this.at < 1000 / PER_SECOND) return;
    this.at = now;
    const [{ height, width: side }] = screens;
    const width = screens.length * side + (screens.length - 1) * GAP;
    const data = new Uint8ClampedArray(4 * width * height).fill(255);
    screens.forEach(({ image, overlay: { marked } }, i) => {
      for (let row = 0; row < height; row++) {
        const start = 4 * (row * width + i * (side + GAP));
        data.set(image.data.subarray(4 * row * side, 4 * (row + 1) * side), start);
        for (let column = 0; column < side; column++) {
          if (marked?.(row * side + column)) data.set(MARK, start + 4 * column);
        }
      }
    });
    this.frames.push({ data, width, height });
    if (this.frames.length > PER_SECOND * SECONDS) this.frames.shift();
  }

  /**
   * @param {(done: number) => void} progress is told the fraction that is done
   * @returns {Promise<Blob | null>} the frames as large as the newest one; null if there are none
   */
  async gif(progress) {
    const newest = this.frames.at(-1);
    if (!newest) return null;
    const { GIFEncoder, applyPalette, quantize } = await import("gifenc"); // not before it is needed
    const { width, height } = newest;
    const scale = Math.max(1, Math.round(EDGE / height));
    const encoder = GIFEncoder();
    const frames = this.frames.filter((frame) => frame.width === width);
    for (const [i, frame] of frames.entries()) {
      progress(i / frames.length);
      const palette = quantize(frame.data, 256);
      const cells = applyPalette(frame.data, palette);
      const pixels = enlarged(cells, width, height, scale);
      encoder.writeFrame(pixels, width * scale, height * scale, { palette, delay: 1000 / PER_SECOND });
      await new Promise((resolve) => setTimeout(resolve)); // lets the page continue
    }
    encoder.finish();
    return new Blob([encoder.bytes()], { type: "image/gif" });
  }
}

/** Each cell as a square of pixels. */
function enlarged(cells, width, height, scale) {
  const long = width * scale;
  const pixels = new Uint8Array(long * height * scale);
  for (let row = 0; row < height; row++) {
    const start = row * scale * long;
    for (let column = 0; column < width; column++) {
      const from = start + column * scale;
      pixels.fill(cells[row * width + column], from, from + scale);
    }
    for (let i = 1; i < scale; i++) pixels.copyWithin(start + i * long, start, start + long);
  }
  return pixels;
}
