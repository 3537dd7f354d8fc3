// A grid of cells on a canvas: sharp at any size, with marks on cells and a cursor.

const MARK = "#ff0000";

export class Screen {
  constructor(canvas, height, width) {
    Object.assign(this, { canvas, height, width });
    this.context = canvas.getContext("2d");
    this.small = new OffscreenCanvas(width, height);
    this.image = new ImageData(width, height);
    this.cursor = null; // { row, column, size }
    new ResizeObserver(() => this.#fit()).observe(canvas.parentElement);
    this.#fit();
  }

  /** A whole number of device pixels a cell, so that all cells are equal. */
  #fit() {
    const ratio = devicePixelRatio || 1;
    const room = this.canvas.parentElement.clientWidth || 300;
    this.scale = Math.max(1, Math.floor((room * ratio) / this.width));
    this.canvas.width = this.width * this.scale;
    this.canvas.height = this.height * this.scale;
    this.canvas.style.width = `${this.canvas.width / ratio}px`;
    this.draw();
  }

  /** The cell under a pointer. */
  cellAt({ clientX, clientY }) {
    const box = this.canvas.getBoundingClientRect();
    const cell = (offset, length, count) =>
      Math.max(0, Math.min(count - 1, Math.floor((offset / length) * count)));
    return {
      row: cell(clientY - box.top, box.height, this.height),
      column: cell(clientX - box.left, box.width, this.width),
    };
  }

  /** Shows `this.image`, and a mark on each cell that `marked` names. */
  draw(marked = this.marked ?? (() => false), filled = this.filled) {
    Object.assign(this, { marked, filled });
    const { context, scale, canvas } = this;
    this.small.getContext("2d").putImageData(this.image, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(this.small, 0, 0, canvas.width, canvas.height);
    if (filled) this.#rule();
    for (let cell = 0; cell < this.height * this.width; cell++) {
      if (marked(cell)) this.#mark(cell);
    }
    if (this.cursor) this.#outline();
  }

  /** Hairlines between cells, where cells are large enough to be counted. */
  #rule() {
    if (this.scale < 8) return;
    this.context.fillStyle = "rgba(0, 0, 0, 0.055)";
    for (let i = 1; i < this.width; i++) {
      this.context.fillRect(i * this.scale, 0, 1, this.canvas.height);
    }
    for (let i = 1; i < this.height; i++) {
      this.context.fillRect(0, i * this.scale, this.canvas.width, 1);
    }
  }

  // A dot in the square tells adversaries from red cells without the help of colour.
  #mark(cell) {
    const { context, scale } = this;
    const [x, y] = [(cell % this.width) * scale, Math.floor(cell / this.width) * scale];
    const dot = Math.max(1, Math.round(scale * (this.filled ? 0.3 : 0.45)));
    const inset = Math.round((scale - dot) / 2);
    if (this.filled) {
      context.fillStyle = MARK;
      context.fillRect(x, y, scale, scale);
    }
    context.fillStyle = this.filled ? "#fff" : MARK;
    context.fillRect(x + inset, y + inset, dot, dot);
  }

  #outline() {
    const { context, scale } = this;
    const { row, column, size } = this.cursor;
    context.lineWidth = Math.max(1, devicePixelRatio);
    context.strokeStyle = "rgba(0, 0, 0, 0.6)";
    context.beginPath();
    if (size > 1) {
      context.arc((column + 0.5) * scale, (row + 0.5) * scale, (size * scale) / 2, 0, 7);
    } else {
      context.rect(column * scale, row * scale, scale, scale);
    }
    context.stroke();
  }
}
