// The lizard playground: grow, damage, perturb, inject.

import { ALPHA, CA, LIVING_THRESHOLD, combine } from "./ca.js";
import * as edits from "./edits.js";
import { distance, invadedFraction, isRed, paintGrown, paintTexture } from "./measures.js";
import { Playground } from "./playground.js";
import { Plot } from "./plot.js";
import { FIGURES, at, nextTurn } from "./presets.js";

const SIDE = 72; // as in training: a target of 40 and 16 around it
const FAR = 0.02; // half of an empty grid's error
const GROWN = 0.002; // an error at which a lizard looks complete
const SPRAY = 10; // per cent of the lizard from which adversaries that spread take it over
const OWN = "yours"; // a visitor's matrix or adversary

export class LizardPlayground extends Playground {
  /**
   * @param {object} perturbations matrices by the name of their mutation
   * @param {object} targets { label, colour, side, values, bytes } by name
   * @param {object} densities the adversary fraction that works, by target
   * @param {object} palette whose `hatch` tells whether to hatch red parts
   */
  constructor(section, perturbations, targets, densities, palette, seed) {
    super(section, new CA("growing", SIDE, SIDE, seed));
    Object.assign(this, { perturbations, targets, densities, palette });
    this.adversaries = {}; // models by the name of their target
    this.spreads = false; // whether adversaries that spread share the grid
    this.attacked = false; // since the last reset
    this.weights = {};
    this.figure = null;
    this.rows = Object.fromEntries(Object.keys(targets).map((name) => [name, this.#row(name)]));
    this.plot = new Plot(this.part.plot, {
      names: Object.values(targets).map(({ label }) => label),
      colour: (i) => Object.values(targets)[i].colour,
      range: [1e-4, 0.1],
      log: true,
      ticks: [[1e-4, "0.0001"], [1e-3, "0.001"], [1e-2, "0.01"], [1e-1, "0.1"]],
      span: 480,
      labelled: () => true,
    });
    this.#figures();
    const { part } = this;
    part.reset.onclick = () => this.reset();
    part.lift.oninput = () => this.applyWeights();
    part.forceSum.oninput = () => this.applyWeights();
    part.zero.onclick = () => this.setWeights({});
    part.sprinkle.onclick = () => this.sprinkle();
    part.remove.onclick = () => this.removeAdversaries();
    part.density.oninput = () => (part.densityValue.textContent = `${part.density.value} %`);
    part.adversary.oninput = () => this.chooseAdversary(part.adversary.value);
    part.showMask.oninput = () => this.draw();
    Object.assign(this.keys, {
      s: () => this.sprinkle(),
      r: () => this.reset(),
      d: () => (this.tool = "damage"),
      g: () => (this.tool = "seed"),
      a: () => (this.tool = "adversary"),
      l: () => part.lift.click(),
      0: () => this.setWeights({}),
      m: () => part.showMask.click(),
      x: () => this.removeAdversaries(),
    });
    [11, 12, 13, 14].forEach((figure, i) => (this.keys[i + 1] = () => this.startFigure(figure)));
    this.reset();
    this.forget();
  }

  get singleCellTool() {
    return "seed";
  }

  get brush() {
    return this.tool === this.singleCellTool ? 1 : Number(this.part.brush.value);
  }

  use(model, target = OWN) {
    const ours = model.spreads && target !== OWN; // it attacks the lizard, whose cells it keeps
    if (!ours) this.#prepareFor(model);
    if (!model.injected && !ours) {
      this.ca.host = this.host = model;
      this.part.density.value = model.spreads ? SPRAY : this.part.density.value;
      this.part.density.oninput();
      return;
    }
    const known = target in this.adversaries;
    this.adversaries[target] = model;
    const { label = target } = this.targets[target.replace("invasion_", "")] ?? {};
    if (!known) this.part.adversary.add(new Option(ours ? `${label}, spreading` : label, target));
    this.part.adversary.value = target;
    this.chooseAdversary(target);
  }

  /** A model of another project has its own rule, so the lizard's targets and matrices do not apply. */
  get foreign() {
    return Boolean(this.section.dataset.foreign);
  }

  #prepareFor({ kind, channels, crop, foreign, spreads }) {
    const { ca, section } = this;
    if (!foreign && !this.foreign) return;
    this.compare(false);
    this.setWeights({});
    if (foreign) section.dataset.foreign = kind;
    else delete section.dataset.foreign;
    this.spreads = Boolean(spreads);
    if (kind === "texture" && this.tool === "seed") this.tool = "damage";
    section.querySelector("[data-seed]").hidden = kind === "texture";
    ca.edit(() => {
      ca.become({ kind, channels, crop, spreads });
      this.forget();
    });
    this.reset();
  }

  copyLink() {
    if (this.foreign) this.say("A link cannot contain your model. Save keeps this step.");
    else if (this.spreads) this.say("A link cannot contain cells that spread. Save keeps this step.");
    else return super.copyLink();
  }

  /** These adversaries were trained for another host. */
  dropAdversaries() {
    this.adversaries = {};
    this.part.adversary.replaceChildren();
    this.#share(null);
    this.ca.injected = null;
  }

  /** Lets adversaries that spread share the grid with the lizard, whose matrices they rule out; or ends it. */
  #share(model) {
    const spreads = Boolean(model);
    if (this.foreign || spreads === this.spreads) return;
    this.compare(false);
    this.setWeights({});
    this.spreads = spreads;
    this.ca.edit((ca) => {
      ca.share(spreads);
      ca.host = model ?? this.host;
      this.forget();
    });
    this.#showPerturbations();
    this.draw(true);
  }

  showAdversaryControls() {
    const able = Boolean(this.ca.injected) || this.spreads;
    this.part.adversary.closest("label").hidden = this.foreign && this.spreads;
    this.section.querySelectorAll("[data-adversary]").forEach((node) => (node.hidden = !able));
    if (!able && ["adversary", "host"].includes(this.tool)) this.tool = "damage";
  }

  chooseAdversary(target) {
    this.target = target;
    const model = this.adversaries[target];
    this.#share(model.spreads ? model : null);
    this.ca.injected = model.spreads ? null : model;
    const density = this.densities[target];
    if (density) this.part.density.value = 100 * density;
    this.part.density.oninput();
  }

  /** Adds a slider for a visitor's matrix, at full strength. */
  useMatrix(matrix) {
    this.perturbations[OWN] = matrix;
    this.rows[OWN] ??= this.#row(OWN);
    this.setWeights({ [OWN]: 1 });
  }

  begin(point, { shiftKey }) {
    this.planting = this.ca.kind === "growing" && (shiftKey || this.tool === "seed");
    this.stroke(point, true);
  }

  stroke(point, first = false) {
    const { tool, brush, planting } = this;
    if (planting && !first) return; // one seed a click
    this.edit((ca) => {
      if (planting) edits.plantSeed(ca, point);
      else if (tool === "damage") edits.erase(ca, point, brush);
      else edits.setAdversaries(ca, point, brush, tool === "adversary");
    });
  }

  reset() {
    this.startFigureAt(null);
    this.change((ca) => {
      edits.clear(ca);
      if (ca.kind === "growing") edits.plantSeed(ca, { row: ca.height >> 1, column: ca.width >> 1 });
      ca.index = 0;
    });
    this.attacked = Boolean(this.ca.matrix);
    this.plot.clear();
  }

  sprinkle() {
    if (!this.ca.injected && !this.spreads) return;
    const { side, values } = this.targets.lizard;
    const offset = (SIDE - side) >> 1;
    // As in training: anywhere on the lizard, including the parts that are to disappear.
    const allowed = (cell) => {
      const [y, x] = [Math.floor(cell / SIDE) - offset, (cell % SIDE) - offset];
      const inside = y >= 0 && y < side && x >= 0 && x < side;
      return inside && values[(y * side + x) * 4 + ALPHA] >= LIVING_THRESHOLD;
    };
    this.change((ca) => edits.sprinkle(ca, this.part.density.value / 100, allowed));
  }

  removeAdversaries() {
    this.change((ca) => ca.adversaries.fill(0));
  }

  /** What a link keeps: a figure, or the sliders; the next adversaries. */
  settings() {
    const { lift, forceSum, density } = this.part;
    const figure = Object.keys(FIGURES).find((name) => FIGURES[name] === this.figure);
    const weights = Object.entries(this.weights).filter(([, k]) => k);
    return {
      figure,
      adversary: this.target,
      density: density.value,
      ...(figure ? {} : { lift: Number(lift.checked), sum: Number(forceSum.checked) }),
      ...(figure ? {} : Object.fromEntries(weights.map(([name, k]) => [`k_${name}`, k]))),
    };
  }

  take({ seed, figure, adversary, density, lift, sum, ...weights }) {
    const { part } = this;
    if (seed >= 0) this.ca.seed = seed >>> 0;
    this.reset();
    if (Object.hasOwn(this.adversaries, adversary)) {
      part.adversary.value = adversary;
      this.chooseAdversary(adversary);
    }
    if (density > 0) part.density.value = density;
    part.density.oninput();
    if (Object.hasOwn(FIGURES, figure)) return this.startFigure(figure);
    part.lift.checked = lift === 1;
    part.forceSum.checked = sum !== 0;
    const known = Object.keys(this.perturbations).filter((name) => Number.isFinite(weights[`k_${name}`]));
    const within = (k) => Math.max(-1, Math.min(1, k));
    this.setWeights(Object.fromEntries(known.map((name) => [name, within(weights[`k_${name}`])])));
  }

  setWeights(weights) {
    this.startFigureAt(null);
    this.weights = { ...weights };
    this.applyWeights();
  }

  /** The sliders as the matrix that the CA gets. */
  applyWeights(changed) {
    const names = Object.keys(this.perturbations);
    if (this.part.forceSum.checked) {
      // The slider in hand keeps its value; the others make room.
      const own = changed ? Math.max(0, this.weights[changed]) : 0;
      const others = names.filter((name) => name !== changed && this.weights[name] > 0);
      const sum = others.reduce((total, name) => total + this.weights[name], 0);
      if (own + sum > 1) for (const name of others) this.weights[name] *= (1 - own) / sum;
    }
    for (const name of names) {
      const k = this.weights[name] ?? 0;
      const { slider, value } = this.rows[name];
      slider.value = k;
      value.textContent = k ? k.toFixed(2).replace("-", "−") : "0";
    }
    const off = this.part.lift.checked || this.spreads;
    this.ca.edit((ca) => (ca.matrix = off ? null : combine(this.perturbations, this.weights)));
  }

  startFigure(number) {
    if (this.foreign || this.spreads || !this.part[`figure${number}`]) return;
    this.reset();
    this.startFigureAt(number);
    this.play(true);
  }

  /** Runs a figure's schedule from the CA's step 0, or none. */
  startFigureAt(number) {
    const before = this.figure;
    this.figure = number && FIGURES[number];
    const { lift, forceSum } = this.part;
    if (this.figure && !before) {
      this.forced = forceSum.checked;
      forceSum.checked = false; // Figure 14 adds up to 2
    } else if (before && !this.figure) {
      lift.checked = false;
      forceSum.checked = this.forced;
      this.applyWeights();
    }
    for (const name of Object.keys(FIGURES)) {
      this.part[`figure${name}`]?.setAttribute("aria-pressed", name === String(number));
    }
    this.part.note.textContent = this.figure?.note ?? this.part.note.dataset.empty;
    if (this.figure) this.#followFigure(0);
  }

  #followFigure(step) {
    const { weights, off } = at(this.figure, step);
    this.weights = weights;
    this.part.lift.checked = off;
    this.applyWeights();
  }

  async advance(count) {
    const turn = this.figure ? nextTurn(this.figure, this.ca.index) : Infinity;
    await super.advance(Math.min(count, turn - this.ca.index));
    if (this.figure) this.#followFigure(this.ca.index);
  }

  stepped() {
    const { ca, plot } = this;
    if (this.foreign) return;
    this.attacked ||= Boolean(ca.matrix) || ca.adversaries.some(Boolean);
    // Seven distances over the whole grid cost more than a step; the plot does not need each.
    if (ca.index - (plot.points.at(-1)?.step ?? -9) < 4 && this.loop.playing) return;
    this.distances = Object.values(this.targets).map((target) => distance(ca, target));
    plot.push(ca.index, this.distances, Boolean(ca.matrix));
  }

  paint(ca, screen) {
    (ca.kind === "texture" ? paintTexture : paintGrown)(ca, screen.image.data);
    const marked = this.part.showMask.checked;
    screen.draw({
      marked: (cell) => marked && ca.adversaries[cell],
      hatched: this.palette.hatch ? (cell) => isRed(ca, cell) : null,
    });
  }

  readout() {
    const { ca, part } = this;
    if (this.foreign) {
      const grown = this.spreads ? "An invasion of yours" : "A growing CA of yours";
      part.verdict.textContent = ca.kind === "texture" ? "A texture of yours" : grown;
      part.verdict.dataset.nearest = part.census.textContent = "";
      if (this.spreads) part.census.textContent = this.#spreadSoFar();
      return;
    }
    const names = Object.keys(this.targets);
    const distances = names.map((name) => distance(ca, this.targets[name]));
    const nearest = distances.indexOf(Math.min(...distances));
    const empty = !ca.state.some(Boolean);
    part.verdict.dataset.nearest = empty ? "" : names[nearest];
    const verdict = empty
      ? "No cell is alive: plant a seed, or reset"
      : !this.attacked
        ? distance(ca, this.targets.lizard) < GROWN ? "A complete lizard" : "Growing"
        : distances[nearest] > FAR
          ? "Like none of the targets"
          : `Nearest target: ${this.targets[names[nearest]].label}`;
    part.verdict.textContent = verdict;
    this.announce(verdict);
    const count = ca.adversaries.reduce((sum, cell) => sum + cell, 0);
    if (this.spreads) part.census.textContent = this.#spreadSoFar();
    else part.census.textContent =
      (ca.matrix ? "Perturbed" : "Not perturbed") + (count ? `, ${count} ${count === 1 ? "adversary" : "adversaries"}` : "");
    names.forEach((name, i) => {
      this.rows[name].distance.textContent = distances[i].toFixed(4);
      this.rows[name].row.classList.toggle("leading", this.attacked && i === nearest && distances[i] < FAR);
    });
    this.plot.draw();
  }

  #spreadSoFar() {
    return `Adversaries have ${Math.round(100 * invadedFraction(this.ca))} % of the cells`;
  }

  #row(name) {
    const row = document.createElement("div");
    row.className = "target";
    row.dataset.target = name;
    const picture = document.createElement("canvas");
    const { side, bytes, label: text, colour } = this.targets[name] ?? { label: name };
    picture.className = "thumb hued";
    picture.setAttribute("aria-hidden", "true");
    if (bytes) {
      picture.width = picture.height = side;
      picture.getContext("2d").putImageData(new ImageData(bytes, side, side), 0, 0);
    }
    const label = document.createElement("label");
    label.textContent = text;
    const value = document.createElement("output");
    value.className = "weight";
    const measured = document.createElement("span");
    measured.className = "distance full";
    measured.title = `Mean squared error against the target “${text}”`;
    measured.style.setProperty("--colour", colour ?? "transparent");
    row.append(picture, label);
    let slider = null;
    if (name in this.perturbations) {
      slider = document.createElement("input");
      Object.assign(slider, { type: "range", min: -1, max: 1, step: 0.01, value: 0 });
      slider.id = label.htmlFor = `k_${name}`;
      slider.setAttribute("aria-label", `Strength k of “${text}”`);
      slider.oninput = () => {
        this.startFigureAt(null);
        this.weights[name] = Number(slider.value);
        this.applyWeights(name);
      };
      row.append(slider, value);
    }
    row.append(measured);
    this.part.targets.append(row);
    return { row, slider, value, distance: measured };
  }

  #figures() {
    for (const [number, { needs, note }] of Object.entries(FIGURES)) {
      if (!needs.every((name) => name in this.perturbations)) continue;
      const button = document.createElement("button");
      button.textContent = number;
      button.setAttribute("aria-label", `Figure ${number}`);
      button.title = note;
      button.setAttribute("aria-pressed", "false");
      button.dataset.figure = number;
      button.onclick = () => this.startFigure(Number(number));
      this.part.figures.append(button);
      this.part[`figure${number}`] = button;
    }
    this.#showPerturbations();
  }

  #showPerturbations() {
    const some = Object.keys(this.perturbations).length > 0 && !this.spreads;
    for (const { slider } of Object.values(this.rows)) if (slider) slider.disabled = !some;
    this.section.querySelectorAll("[data-perturbation]").forEach((node) => (node.hidden = !some));
  }
}
