// Compare: the same cells from the same moment on, without the attack, on a canvas of their own.

import { CA } from "./ca.js";
import { Screen } from "./screen.js";

const CAPTION = "The same cells, without the attack";

export class Twin {
  /** @param {HTMLElement} views where its canvas is added */
  constructor(ca, views) {
    this.ca = new CA(ca.kind, ca.height, ca.width);
    this.ca.become(ca);
    this.figure = document.createElement("figure");
    this.figure.className = "view";
    const canvas = document.createElement("canvas");
    canvas.className = "grid hued";
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", CAPTION);
    const caption = document.createElement("figcaption");
    caption.textContent = CAPTION;
    this.figure.append(canvas, caption);
    views.append(this.figure);
    this.screen = new Screen(canvas, ca.height, ca.width);
    this.copy(ca);
  }

  remove() {
    this.figure.remove();
  }

  /** Starts again from the attacked one's moment. */
  copy({ index, seed, ...ca }) {
    const state = ca.state.slice();
    this.edit((own) => {
      own.state.set(state);
      Object.assign(own, { index, seed });
    });
  }

  /** The same edit as the attacked one gets, adversaries left out. */
  edit(change) {
    this.ca.edit((own) => {
      change(own);
      own.adversaries.fill(0);
    });
  }

  /** Makes the steps that the attacked one is ahead. */
  async follow({ host, injected, index }) {
    Object.assign(this.ca, { host, injected }); // an injection may bring the only host
    const behind = index - this.ca.index;
    if (behind > 0) await this.ca.step(behind);
  }
}
