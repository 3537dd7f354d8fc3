// What both playgrounds share: canvas, transport, undo, tools, keys, messages. No maths.

import { line } from "./edits.js";
import { Loop } from "./loop.js";
import { fromBits, pack, toBits, toHash, unpack } from "./moment.js";
import { Recorder } from "./recorder.js";
import { Screen } from "./screen.js";
import { Twin } from "./twin.js";

const UNDO_DEPTH = 30;
const SPEEDS = { slow: 8, normal: 30, fast: 60, faster: 120, max: Infinity };
const READOUT_MS = 120;
const ANNOUNCE_MS = 1000;
const FARTHEST = 3000; // steps that a link has the page run
const STRIDE = 12;
const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

export class Playground {
  /**
   * Subclasses give: paint(ca, screen), readout(), begin(point, event), stroke(point), keys,
   * singleCellTool, brush, plot; settings() and take(settings), for links.
   * @param {HTMLElement} section with elements named by data-name
   */
  constructor(section, ca) {
    Object.assign(this, { section, ca });
    this.part = Object.fromEntries(
      [...section.querySelectorAll("[data-name]")].map((node) => [node.dataset.name, node]),
    );
    this.screen = new Screen(this.part.grid, ca.height, ca.width);
    this.loop = new Loop(this.part.grid, {
      step: (count) => this.advance(count),
      draw: () => this.draw(),
      failed: (error) => this.say(`The model stopped: ${error.message}`, true),
    });
    this.history = [];
    this.recorder = new Recorder();
    this.twin = null; // the same without the attack, while Compare is on
    this.keys = {
      p: () => this.play(!this.loop.playing),
      n: () => this.stepOnce(),
      u: () => this.undo(),
      w: () => this.compare(!this.twin),
    };
    this.#transport();
    this.#tools();
    this.#pointer();
    this.#keyboard();
    this.say("");
  }

  get tool() {
    return this.section.querySelector("[data-tools] input:checked").value;
  }

  set tool(value) {
    const radio = this.section.querySelector(`[data-tools] input[value="${value}"]`);
    if (radio && !radio.disabled && !radio.closest("[hidden]")) radio.click();
  }

  /** A message, in the place of the sentence that says what to do; "" brings that back. */
  say(text, error = false) {
    const { message } = this.part;
    message.textContent = text || message.dataset.hint;
    message.dataset.kind = error ? "error" : text ? "note" : "hint";
  }

  /** Tells a screen reader what changed, at most once a second. */
  announce(text) {
    const now = performance.now();
    if (text === this.announced || now - (this.announcedAt ?? -Infinity) < ANNOUNCE_MS) return;
    Object.assign(this, { announced: text, announcedAt: now });
    this.part.status.textContent = text;
  }

  play(on) {
    this.loop.playing = on;
    this.part.play.textContent = on ? "Pause" : "Play";
    this.part.play.setAttribute("aria-pressed", on);
  }

  async advance(count) {
    await this.ca.step(count);
    await this.twin?.follow(this.ca);
    this.stepped();
  }

  stepped() {}

  async stepOnce() {
    this.play(false);
    await this.loop.advance(1);
    this.draw(true);
  }

  /** Changes the CA in a way that `undo` takes back. */
  change(edit) {
    this.remember();
    this.edit(edit);
    this.draw(true);
  }

  /** Changes the CA, and the unattacked one next to it. */
  edit(change) {
    this.ca.edit(change);
    this.twin?.edit(change);
  }

  /** Sets the CA to another moment; the unattacked one next to it starts again from there. */
  #set(moment) {
    this.ca.edit((ca) => {
      ca.restore(moment);
      const { index = ca.index, seed = ca.seed } = moment;
      Object.assign(ca, { index, seed });
      this.twin?.copy(ca);
    });
    this.draw(true);
  }

  /** Shows what the same cells would do unattacked from now on, or no longer. */
  compare(on) {
    this.twin?.remove();
    this.twin = on ? new Twin(this.ca, this.part.views) : null;
    this.part.compare.setAttribute("aria-pressed", on);
    this.draw(true);
  }

  remember() {
    this.ca.edit((ca) => {
      this.history.push({ ...ca.snapshot(), mood: this.mood });
      if (this.history.length > UNDO_DEPTH) this.history.shift();
      this.part.undo.disabled = false;
    });
  }

  forget() {
    this.history = [];
    this.part.undo.disabled = true;
  }

  undo() {
    const past = this.history.pop();
    this.part.undo.disabled = !this.history.length;
    if (!past) return;
    this.mood = past.mood; // what else a subclass wants back, such as a digit's label
    this.#set(past);
  }

  async save() {
    const name = `${this.ca.kind}-step-${this.ca.index}.tfnca`; // before the wait: steps may follow
    download(await pack(this.ca), name);
  }

  async record() {
    const { record } = this.part;
    const name = `${this.ca.kind}-step-${this.ca.index}.gif`;
    record.disabled = true;
    const gif = await this.recorder.gif((done) => (record.textContent = `${Math.round(100 * done)} %`));
    record.textContent = "GIF";
    record.disabled = false;
    if (gif) download(gif, name);
    else this.say("Nothing has moved yet: press Play, then GIF.");
  }

  /** Continues from a file that `save` wrote; throws, and changes nothing, if it is none. */
  async resume(file) {
    const moment = await unpack(file, this.ca);
    this.remember();
    this.#set(moment);
    this.mood = null;
    this.plot.clear();
    this.say(`Continued from ${file.name}, step ${moment.index}.`);
  }

  async copyLink() {
    const { kind, seed, index: step, adversaries } = this.ca;
    const mask = adversaries.some(Boolean) ? toBits(adversaries) : undefined;
    history.replaceState(null, "", toHash({ play: kind, seed, step, mask, ...this.settings() }));
    const what = "It starts again with these settings and adversaries, and runs to this step.";
    try {
      await navigator.clipboard.writeText(location.href);
      this.say(`The link is on the clipboard. ${what}`);
    } catch {
      this.say(`The address bar shows the link. ${what}`);
    }
  }

  /** Does what a link asks for: its settings, its adversaries, its step. */
  async arrive({ step, mask, ...settings }) {
    await this.take(settings);
    if (typeof mask === "string") this.edit((ca) => ca.adversaries.set(fromBits(mask, ca.adversaries.length)));
    const goal = Math.min(Math.floor(step), FARTHEST);
    if (!(goal > 0)) return;
    this.play(false);
    while (this.ca.index < goal && !this.loop.playing) {
      this.say(`Running to step ${goal}: ${this.ca.index} …`);
      const before = this.ca.index;
      await this.loop.advance(Math.min(STRIDE, goal - before));
      if (this.ca.index === before) return; // the model stopped, and said why
      this.draw();
    }
    this.say(this.loop.playing ? "" : `Step ${goal}, as linked. Press Play to continue.`);
  }

  draw(all = false) {
    const shown = [this, this.twin].filter(Boolean);
    for (const { ca, screen } of shown) this.paint(ca, screen);
    if (this.loop.playing) this.recorder.see(shown.map(({ screen }) => screen));
    const now = performance.now();
    if (!all && now - (this.readAt ?? -Infinity) < READOUT_MS) return;
    this.readAt = now;
    const rate = this.loop.playing ? `, ${Math.round(this.loop.measured)} a second` : ", paused";
    this.part.steps.textContent = `Step ${this.ca.index}${rate}`;
    this.readout();
  }

  #transport() {
    this.part.play.onclick = () => this.play(!this.loop.playing);
    this.part.step.onclick = () => this.stepOnce();
    this.part.undo.onclick = () => this.undo();
    this.part.save.onclick = () => this.save();
    this.part.link.onclick = () => this.copyLink();
    this.part.record.onclick = () => this.record();
    this.part.compare.onclick = () => this.compare(!this.twin);
    const speed = () => (this.loop.rate = SPEEDS[this.part.speed.value]);
    this.part.speed.oninput = speed;
    speed();
  }

  /** The brush is off while the tool in hand touches single cells. */
  #tools() {
    const { brush } = this.part;
    const show = () => (brush.disabled = this.tool === this.singleCellTool);
    this.section.querySelector("[data-tools]").addEventListener("input", show);
    show();
  }

  #pointer() {
    const canvas = this.part.grid;
    let last = null;
    const hover = (event) => {
      const point = this.screen.cellAt(event);
      this.screen.cursor = event.pointerType === "touch" ? null : { ...point, size: this.brush };
      return point;
    };
    canvas.onpointerdown = (event) => {
      if (event.button) return;
      canvas.setPointerCapture(event.pointerId);
      last = hover(event);
      this.remember();
      this.begin(last, event);
      this.draw();
    };
    canvas.onpointermove = (event) => {
      const point = hover(event);
      if (last) {
        for (const cell of line(last, point)) this.stroke(cell);
        last = point;
      }
      this.draw();
    };
    canvas.onpointerup = canvas.onpointercancel = () => (last = null);
    canvas.onpointerleave = () => {
      this.screen.cursor = null;
      this.draw();
    };
    canvas.onblur = canvas.onpointerleave;
  }

  #keyboard() {
    this.section.addEventListener("keydown", (event) => {
      const onCanvas = event.target === this.part.grid;
      if (event.altKey || event.metaKey || event.ctrlKey) {
        if (event.key === "z" && !event.altKey) this.undo();
        else return;
      } else if (onCanvas && (ARROWS[event.key] || event.key === "Enter" || event.key === " ")) {
        this.#cursorKey(event);
      } else if (!event.target.matches("select") && this.keys[event.key.toLowerCase()]) {
        this.keys[event.key.toLowerCase()]();
      } else return;
      event.preventDefault();
    });
  }

  #cursorKey(event) {
    const { ca, screen } = this;
    const at = screen.cursor ?? { row: ca.height >> 1, column: ca.width >> 1 };
    const [down, right] = ARROWS[event.key] ?? [0, 0];
    const clamp = (value, count) => Math.max(0, Math.min(count - 1, value));
    const point = {
      row: clamp(at.row + down, ca.height),
      column: clamp(at.column + right, ca.width),
    };
    screen.cursor = { ...point, size: this.brush };
    if (!ARROWS[event.key]) {
      this.remember();
      this.begin(point, event);
    }
    this.draw();
  }
}

function download(blob, name) {
  const link = document.createElement("a");
  link.download = name;
  link.href = URL.createObjectURL(blob);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
