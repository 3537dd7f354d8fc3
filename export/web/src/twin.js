// "What if": the same cells from the same moment on, without what attacks them.

import { CA } from "./ca.js";
import { Screen } from "./screen.js";

export class Twin {
  constructor(ca, canvas) {
    this.ca = new CA(ca.kind, ca.height, ca.width);
    this.screen = new Screen(canvas, ca.height, ca.width);
    this.copy(ca);
  }

  /** Begins anew from the attacked one's moment. */
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
  async follow({ host, index }) {
    this.ca.host = host;
    const behind = index - this.ca.index;
    if (behind > 0) await this.ca.step(behind);
  }
}
