// A live line plot of the last steps, labelled at the lines' ends.

const MARGIN = { top: 8, right: 62, bottom: 20, left: 46 };
const LABEL_HEIGHT = 12;
const FONT = "11px system-ui, -apple-system, Roboto, Helvetica, Arial, sans-serif";

export class Plot {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {object} options names of the series, colour(i), range [low, high], ticks as
   *   [value, text], log, span (steps shown), labelled(value): whether a line gets its name
   */
  constructor(canvas, options) {
    Object.assign(this, { canvas, ...options });
    this.points = []; // { step, values, shaded }
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  clear() {
    this.points = [];
  }

  push(step, values, shaded) {
    const last = this.points.at(-1);
    if (last && step <= last.step) return;
    this.points.push({ step, values, shaded });
    while (this.points[0].step < step - this.span) this.points.shift();
  }

  draw() {
    const { canvas, points } = this;
    const ratio = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width) return;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    context.font = FONT;
    const style = getComputedStyle(canvas);
    const [faint, rule, shade] = ["--faint", "--rule", "--shade"].map((name) =>
      style.getPropertyValue(name),
    );
    const right = width - MARGIN.right;
    const bottom = height - MARGIN.bottom;
    const end = points.at(-1)?.step ?? 0;
    const start = Math.max(0, end - this.span);
    const scaled = this.log ? Math.log10 : (value) => value;
    const [low, high] = this.range.map(scaled);
    const x = (step) =>
      MARGIN.left + ((step - start) / this.span) * (right - MARGIN.left);
    const y = (value) => {
      const fraction = (scaled(Math.max(value, this.range[0])) - low) / (high - low);
      return bottom - Math.min(1, fraction) * (bottom - MARGIN.top);
    };

    context.fillStyle = shade;
    points.forEach(({ step, shaded }, i) => {
      const from = i ? x(points[i - 1].step) : x(step);
      if (shaded) context.fillRect(from, MARGIN.top, x(step) - from, bottom - MARGIN.top);
    });
    context.textBaseline = "middle";
    for (const [value, text] of this.ticks) {
      context.fillStyle = rule;
      context.fillRect(MARGIN.left, Math.round(y(value)), right - MARGIN.left, 1);
      context.fillStyle = faint;
      context.textAlign = "right";
      context.fillText(text, MARGIN.left - 6, y(value));
    }
    context.textAlign = "center";
    const unit = this.span / 4;
    for (let step = Math.ceil(start / unit) * unit; step <= start + this.span; step += unit) {
      if (step < start + this.span) context.fillText(step, x(step), height - 7);
    }
    context.textAlign = "left";
    context.fillText("steps", right + 4, height - 7);

    context.lineJoin = "round";
    this.names.forEach((_, i) => {
      context.strokeStyle = this.colour(i);
      context.lineWidth = 1.75;
      context.beginPath();
      for (const { step, values } of points) context.lineTo(x(step), y(values[i]));
      context.stroke();
    });
    if (points.length) this.#label(context, x(end) + 5, y, points.at(-1).values, bottom);
  }

  /** Names at the lines' ends, moved apart where they would overlap. */
  #label(context, x, y, values, bottom) {
    const labels = this.names
      .map((name, i) => ({ name, colour: this.colour(i), value: values[i], y: y(values[i]) }))
      .filter(({ value }) => this.labelled(value))
      .sort((a, b) => a.y - b.y);
    let floor = bottom + LABEL_HEIGHT / 2;
    for (const label of labels.toReversed()) {
      label.y = Math.min(label.y, floor - LABEL_HEIGHT);
      floor = label.y;
    }
    let ceiling = -LABEL_HEIGHT / 2;
    for (const label of labels) {
      label.y = Math.max(label.y, ceiling + LABEL_HEIGHT);
      ceiling = label.y;
      context.fillStyle = label.colour;
      context.fillRect(x, label.y - 4, 8, 8);
      context.fillStyle = getComputedStyle(this.canvas).color;
      context.fillText(label.name, x + 12, label.y + 0.5);
    }
  }
}
