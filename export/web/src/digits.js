// The digits playground: draw, classify, deceive.

import { CA } from "./ca.js";
import * as edits from "./edits.js";
import { countVotes, paintDigits } from "./measures.js";
import { css } from "./palette.js";
import { Playground } from "./playground.js";
import { Plot } from "./plot.js";

const SIDE = 28;
const CLASS_NAMES = [..."0123456789"];

export class DigitsPlayground extends Playground {
  constructor(section, samples, palette, seed) {
    super(section, new CA("mnist", SIDE, SIDE, seed));
    this.samples = samples;
    this.palette = palette;
    this.next = samples.map(() => 0);
    this.mood = null; // the true class of a loaded digit, until its ink is changed
    this.buttons = CLASS_NAMES.map((name, digit) => this.#digitButton(name, digit));
    this.plot = new Plot(this.part.plot, {
      names: CLASS_NAMES,
      colour: (digit) => css(this.palette.digits[digit]),
      range: [0, 1],
      ticks: [[0, "0"], [0.5, "50 %"], [1, "100 %"]],
      span: 240,
      labelled: (share) => share >= 0.04,
    });
    const { part } = this;
    part.bin.onclick = () => this.empty();
    part.sprinkle.onclick = () => this.sprinkle();
    part.remove.onclick = () => this.removeAdversaries();
    part.density.oninput = () => (part.densityValue.textContent = `${part.density.value} %`);
    part.showMask.oninput = () => this.draw();
    Object.assign(this.keys, {
      c: () => this.empty(),
      d: () => (this.tool = "draw"),
      e: () => (this.tool = "erase"),
      a: () => (this.tool = "adversary"),
      s: () => this.sprinkle(),
      m: () => part.showMask.click(),
      x: () => this.removeAdversaries(),
    });
    CLASS_NAMES.forEach((name, digit) => (this.keys[name] = () => this.load(digit)));
  }

  get singleCellTool() {
    return "adversary";
  }

  get brush() {
    return this.tool === this.singleCellTool ? 1 : Number(this.part.brush.value);
  }

  /** With an injection the page can place adversaries, without one it does not offer to. */
  use(model) {
    if (model.networks === 2) this.ca.injected = model;
    else this.ca.host = model;
  }

  showAdversaryControls() {
    const able = Boolean(this.ca.injected);
    this.section.querySelectorAll("[data-adversary]").forEach((node) => (node.hidden = !able));
    if (!able) this.tool = "draw";
  }

  begin(point) {
    const { adversaries, width } = this.ca;
    this.placing = !adversaries[point.row * width + point.column];
    this.stroke(point);
  }

  stroke(point) {
    const { tool, brush } = this;
    if (tool !== "adversary") this.mood = null;
    this.edit((ca) => {
      if (tool === "draw") edits.ink(ca, point, brush);
      else if (tool === "erase") edits.erase(ca, point, brush);
      else edits.setAdversary(ca, point, this.placing);
    });
  }

  load(digit) {
    const images = this.samples[digit];
    const image = images[this.next[digit]++ % images.length];
    this.change((ca) => edits.loadDigit(ca, image));
    this.mood = digit;
  }

  empty() {
    this.change(edits.clear);
    this.mood = null;
  }

  sprinkle() {
    if (!this.ca.injected) return;
    const share = this.part.density.value / 100;
    this.change((ca) => edits.sprinkle(ca, share, (cell) => ca.lives(cell)));
  }

  removeAdversaries() {
    this.change((ca) => ca.adversaries.fill(0));
  }

  /** What a link keeps: the digit shown, if it is one of the samples, and the adversaries to come. */
  settings() {
    const digit = this.mood ?? undefined;
    const which = digit === undefined ? undefined : this.next[digit] - 1;
    return { digit, which, density: this.part.density.value };
  }

  take({ seed, digit, which, density }) {
    if (seed >= 0) this.ca.seed = seed >>> 0;
    if (density > 0) this.part.density.value = density;
    this.part.density.oninput();
    if (!Object.hasOwn(this.samples, digit)) return;
    if (which >= 0) this.next[digit] = Math.floor(which);
    this.load(digit);
    this.edit((ca) => (ca.index = 0));
  }

  stepped() {
    const { shares, adversaries } = countVotes(this.ca);
    this.plot.push(this.ca.index, shares, adversaries > 0);
  }

  paint(ca, screen) {
    const { shares, living } = countVotes(ca);
    const decided = shares.some((share) => share > 0);
    const wrong = this.mood !== null && living > 0 && decided && shares[this.mood] < 0.5;
    paintDigits(ca, this.palette.digits, wrong, screen.image.data);
    const shown = this.part.showMask.checked;
    screen.draw((cell) => shown && ca.adversaries[cell] && ca.lives(cell), true);
  }

  readout() {
    const { living, adversaries, shares } = countVotes(this.ca);
    const leader = shares.indexOf(Math.max(...shares));
    const { part } = this;
    part.verdict.dataset.says = living && shares[leader] ? leader : "";
    part.verdict.textContent = !living
      ? "Draw a digit, or load one."
      : shares[leader]
        ? `${Math.round(100 * shares[leader])} % of the cells say ${leader}`
        : "The cells have not decided yet";
    const percent = living ? Math.round((100 * adversaries) / living) : 0;
    part.census.textContent =
      `${living} cells` + (adversaries ? `, ${adversaries} ${adversaries === 1 ? "adversary" : "adversaries"} (${percent} %)` : "");
    this.buttons.forEach((button, digit) => {
      button.style.setProperty("--share", shares[digit]);
      button.style.setProperty("--colour", css(this.palette.digits[digit]));
      button.classList.toggle("leading", digit === leader && shares[digit] > 0);
    });
    this.plot.draw();
  }

  #digitButton(name, digit) {
    const button = document.createElement("button");
    button.textContent = name;
    button.className = "digit";
    button.title = `Load a ${name}; again for another`;
    button.setAttribute("aria-label", button.title);
    button.onclick = () => this.load(digit);
    this.part.digits.append(button);
    return button;
  }
}
