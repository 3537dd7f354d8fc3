// A grid of cells on a canvas: sharp at any size, with marks on cells and a cursor.

const MARK = "#ff0000";
const LINE = "#555";

export class Screen {
  constructor(canvas, height, width) {
    Object.assign(this, { canvas, height, width });
    this.context = canvas.getContext("2d");
    this.small = new OffscreenCanvas(width, height);
    this.image = new ImageData(width, height);
    this.cursor = null; // { row, column, size }
    this.overlay = {};
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

  /**
   * Shows `this.image`, and on it what `overlay` asks for:
   *
   * marked(cell): an adversary; filled: its whole cell is red; inked(cell): part of a figure that
   * gets an outline and hairlines between cells; framed: a dark line around the grid; hatched(cell):
   * gets a diagonal line; dots: by cell, the size of a dot from 0 to 1.
   */
  draw(overlay = this.overlay) {
    this.overlay = overlay;
    const { context, scale, canvas } = this;
    this.small.getContext("2d").putImageData(this.image, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(this.small, 0, 0, canvas.width, canvas.height);
    if (overlay.inked) {
      this.#rule();
      this.#enclose(overlay.inked);
    }
    for (let cell = 0; cell < this.height * this.width; cell++) {
      const [x, y] = [(cell % this.width) * scale, Math.floor(cell / this.width) * scale];
      if (overlay.hatched?.(cell)) this.#hatch(x, y);
      if (overlay.marked?.(cell)) this.#mark(x, y, overlay.filled);
      if (overlay.dots?.[cell]) this.#dot(x, y, overlay.dots[cell]);
    }
    if (overlay.framed) this.#frame();
    if (this.cursor) this.#outline();
  }

  #frame() {
    const { context, canvas, scale } = this;
    const line = Math.max(2, Math.round(scale / 3));
    context.strokeStyle = LINE;
    context.lineWidth = line;
    context.strokeRect(line / 2, line / 2, canvas.width - line, canvas.height - line);
  }

  /** A dark line around a figure, whose colours may be too pale for white paper. */
  #enclose(inked) {
    const { context, scale, width, height } = this;
    const line = Math.max(1, Math.round(scale / 9));
    context.fillStyle = LINE;
    for (let cell = 0; cell < height * width; cell++) {
      if (!inked(cell)) continue;
      const [row, column] = [Math.floor(cell / width), cell % width];
      const [x, y] = [column * scale, row * scale];
      if (!row || !inked(cell - width)) context.fillRect(x, y, scale, line);
      if (row === height - 1 || !inked(cell + width)) context.fillRect(x, y + scale - line, scale, line);
      if (!column || !inked(cell - 1)) context.fillRect(x, y, line, scale);
      if (column === width - 1 || !inked(cell + 1)) context.fillRect(x + scale - line, y, line, scale);
    }
  }

  #hatch(x, y) {
    const { context, scale } = this;
    context.strokeStyle = "rgba(0, 0, 0, 0.75)";
    context.lineWidth = Math.max(1, scale / 5);
    context.beginPath();
    context.moveTo(x, y + scale);
    context.lineTo(x + scale, y);
    context.stroke();
  }

  #dot(x, y, size) {
    const { context, scale } = this;
    context.fillStyle = "#000";
    context.strokeStyle = "#fff";
    context.lineWidth = Math.max(1, scale / 14);
    context.beginPath();
    context.arc(x + scale / 2, y + scale / 2, Math.sqrt(size) * scale * 0.42, 0, 7);
    context.fill();
    context.stroke();
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

  // A white dot in the square, or a white ring, tells adversaries from red cells without colour.
  #mark(x, y, filled) {
    const { context, scale } = this;
    const square = (fraction, colour) => {
      const side = Math.max(1, Math.round(scale * fraction));
      const inset = Math.round((scale - side) / 2);
      context.fillStyle = colour;
      context.fillRect(x + inset, y + inset, side, side);
    };
    if (filled) {
      square(1, MARK);
      square(0.3, "#fff");
    } else {
      if (scale > 3) square(0.75, "#fff");
      square(0.45, MARK);
    }
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
