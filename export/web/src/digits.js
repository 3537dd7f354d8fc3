// The digits playground: draw a digit, watch its cells classify it, turn some into adversaries.

import { CA } from "./ca.js";
import * as edits from "./edits.js";
import { countVotes, paintDigits, spread } from "./measures.js";
import { css } from "./palette.js";
import { Playground } from "./playground.js";
import { Plot } from "./plot.js";

const SIDE = 28;
const CLASS_NAMES = [..."0123456789"];
const FIRST = 1; // the cells all agree on the second sample of each class, not on each first one
const DEFENDED = "A cell that breaks the common rule is ignored.";
const TRY = "Press Sprinkle: most cells keep their class. Then choose Standard.";

export class DigitsPlayground extends Playground {
  /** @param influence by class and number what one adversary does at each cell; null if unknown */
  constructor(section, samples, influence, palette, seed) {
    super(section, new CA("mnist", SIDE, SIDE, seed));
    this.samples = samples;
    this.influence = influence;
    this.palette = palette;
    this.next = samples.map(() => FIRST);
    this.host = "standard";
    this.mood = null; // the true class of a loaded digit, until its ink is changed
    this.buttons = CLASS_NAMES.map((name, digit) => this.#digitButton(name, digit));
    this.plot = new Plot(this.part.plot, {
      names: CLASS_NAMES,
      colour: (digit) => css(this.palette.digits[digit]),
      range: [0, 1],
      ticks: [[0, "0"], [0.5, "50 %"], [1, "100 %"]],
      span: 240,
      labelled: (fraction) => fraction >= 0.04,
    });
    const { part } = this;
    this.tool = "adversary"; // the first thing to try
    part.bin.onclick = () => this.empty();
    part.sprinkle.onclick = () => this.sprinkle();
    part.remove.onclick = () => this.removeAdversaries();
    part.density.oninput = () => (part.densityValue.textContent = `${part.density.value} %`);
    part.showMask.oninput = () => this.draw();
    part.showWeak.oninput = () => this.draw(true);
    part.placeBest.onclick = () => this.placeBest();
    part.hosts.oninput = ({ target }) => this.chooseHost(target.value);
    Object.assign(this.keys, {
      c: () => this.empty(),
      d: () => (this.tool = "draw"),
      e: () => (this.tool = "erase"),
      a: () => (this.tool = "adversary"),
      s: () => this.sprinkle(),
      m: () => part.showMask.click(),
      x: () => this.removeAdversaries(),
      h: () => part.showWeak.click(),
      b: () => this.placeBest(),
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

  /** A model of the visitor's own: its weak spots are unknown. */
  useOwn() {
    this.influence = null;
  }

  showAdversaryControls() {
    const able = Boolean(this.ca.injected);
    this.section.querySelectorAll("[data-adversary]").forEach((node) => (node.hidden = !able));
    this.part.spots.hidden = !able || !this.influence;
    this.part.hosts.hidden = !able || !this.ca.host;
    if (!able) this.tool = "draw";
  }

  /** Starts the digit again, its cells with or without the deviation test. */
  chooseHost(name) {
    this.part.hosts.querySelector(`input[value="${name}"]`).checked = true;
    this.host = name;
    this.change((ca) => {
      ca.defended = name === "defended";
      edits.startAnew(ca);
    });
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
    this.restart((ca) => edits.loadDigit(ca, image));
    this.mood = digit;
  }

  /** An edit after which steps count from 0. */
  restart(edit) {
    this.change((ca) => {
      edit(ca);
      ca.index = 0;
    });
  }

  /** The digit's weak spots, if it is a sample whose ink is unchanged; null otherwise. */
  get sample() {
    if (this.mood === null || !this.influence || this.host !== "standard") return null;
    const { state, channels } = this.ca;
    const isShown = (image) => image.every((byte, cell) => Math.abs(255 * state[cell * channels] - byte) < 0.5);
    const number = this.samples[this.mood].findIndex(isShown);
    return this.influence[this.mood][number] ?? null;
  }

  /** Why no weak spots are known, or "". */
  get whyUnknown() {
    if (this.sample) return "";
    if (this.host !== "standard") return "Weak spots are known for standard cells only.";
    if (this.mood === 8) return "An 8 has no weak spots: there is nothing to change.";
    return "Weak spots are known for loaded digits: press a number.";
  }

  /** Starts the digit again with one more adversary, in the best place. */
  placeBest() {
    const { sample } = this;
    if (!sample || !this.ca.injected) {
      this.say(this.whyUnknown);
      return;
    }
    this.say("");
    this.change((ca) => {
      const placed = sample.best.filter((cell) => ca.adversaries[cell]).length;
      edits.startAnew(ca);
      ca.adversaries.fill(0);
      for (const cell of sample.best.slice(0, placed + 1)) ca.adversaries[cell] = 1;
    });
  }

  empty() {
    this.restart(edits.clear);
    this.mood = null;
    this.tool = "draw"; // on an empty canvas there is nothing else to do
  }

  sprinkle() {
    if (!this.ca.injected) return;
    const fraction = this.part.density.value / 100;
    this.change((ca) => edits.sprinkle(ca, fraction, (cell) => ca.lives(cell)));
  }

  removeAdversaries() {
    this.change((ca) => ca.adversaries.fill(0));
  }

  /** What a link keeps: the digit shown, if it is one of the samples, and the adversaries to come. */
  settings() {
    const digit = this.mood ?? undefined;
    const which = digit === undefined ? undefined : this.next[digit] - 1;
    return { digit, which, density: this.part.density.value, host: this.host === "standard" ? undefined : this.host };
  }

  take({ seed, digit, which, density, host }) {
    if (host === "defended") this.chooseHost(host);
    if (seed >= 0) this.ca.seed = seed >>> 0;
    if (density > 0) this.part.density.value = density;
    this.part.density.oninput();
    if (!Object.hasOwn(this.samples, digit)) return;
    if (which >= 0) this.next[digit] = Math.floor(which);
    this.load(digit);
  }

  stepped() {
    const { fractions, adversaries } = countVotes(this.ca);
    this.plot.push(this.ca.index, fractions, adversaries > 0);
  }

  paint(ca, screen) {
    const { fractions, living } = countVotes(ca);
    const decided = fractions.some((fraction) => fraction > 0);
    const wrong = this.mood !== null && living > 0 && decided && fractions[this.mood] < 0.5;
    paintDigits(ca, this.palette.digits, screen.image.data);
    const marked = this.part.showMask.checked;
    const weakness = this.part.showWeak.checked ? this.sample : null;
    screen.draw({
      marked: (cell) => marked && ca.adversaries[cell] && ca.lives(cell),
      filled: true,
      framed: wrong,
      inked: (cell) => ca.lives(cell),
      dots: weakness && spread(ca, weakness.weak),
    });
  }

  readout() {
    const { living, adversaries, fractions } = countVotes(this.ca);
    const leader = fractions.indexOf(Math.max(...fractions));
    const { part } = this;
    part.verdict.dataset.class = living && fractions[leader] ? leader : "";
    part.verdict.textContent = !living
      ? "Draw a digit, or load one"
      : fractions[leader]
        ? `${Math.round(100 * fractions[leader])} % of the cells read ${leader}`
        : "The cells are undecided";
    const most = fractions[leader] > 0.5 ? `Most cells read ${leader}` : "The cells disagree";
    this.announce(living ? most : part.verdict.textContent);
    part.about.textContent = part.showWeak.checked
      ? this.whyUnknown || "The larger the dot, the more cells one adversary there makes read an 8."
      : this.host === "standard" ? "" : adversaries ? DEFENDED : TRY;
    const percent = living ? Math.round((100 * adversaries) / living) : 0;
    part.census.textContent =
      `${living} cells` + (adversaries ? `, ${adversaries} ${adversaries === 1 ? "adversary" : "adversaries"} (${percent} %)` : "");
    this.buttons.forEach((button, digit) => {
      button.style.setProperty("--fraction", fractions[digit]);
      button.style.setProperty("--colour", css(this.palette.digits[digit]));
      button.classList.toggle("leading", digit === leader && fractions[digit] > 0);
    });
    this.plot.draw();
  }

  #digitButton(name, digit) {
    const button = document.createElement("button");
    button.textContent = name;
    button.className = "digit";
    button.title = `Load a digit ${name}; press again for another one`;
    button.setAttribute("aria-label", button.title);
    button.onclick = () => this.load(digit);
    this.part.digits.append(button);
    return button;
  }
}
