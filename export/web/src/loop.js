// Runs a playground: as many steps a frame as its speed asks for and the frame has time for.
// Pauses while it is off the screen.

const FRAME_BUDGET_MS = 11; // of the 16 that a frame has at 60 Hz
const MOST_STEPS = 12;
const PAUSED_MS = 60; // between two pictures while nothing moves: enough for a cursor

export class Loop {
  /**
   * @param {Element} element whose visibility decides
   * @param {object} hooks step(count), draw(), failed(error)
   */
  constructor(element, { step, draw, failed }) {
    Object.assign(this, { step, draw, failed });
    this.playing = false;
    this.rate = 60; // steps a second; Infinity for as fast as it goes
    this.measured = 0; // steps a second that are reached
    this.stepMs = 8; // what a step takes, a running mean
    this.visible = false;
    this.running = false;
    this.turn = Promise.resolve();
    const update = () => {
      if (this.visible && !document.hidden) this.#start();
    };
    new IntersectionObserver((entries) => {
      this.visible = entries.at(-1).isIntersecting; // a busy page hears of several changes at once
      update();
    }).observe(element);
    document.addEventListener("visibilitychange", update);
  }

  async #start() {
    if (this.running) return;
    this.running = true;
    let [last, owed] = [performance.now(), 0];
    let [counted, since, drawn] = [0, last, 0];
    while (this.visible && !document.hidden) {
      const now = await new Promise(requestAnimationFrame);
      // Never 0, for 0 times an infinite rate would be NaN.
      const seconds = Math.min(100, Math.max(1, now - last)) / 1000;
      last = now;
      const most = Math.min(MOST_STEPS, Math.max(1, Math.floor(FRAME_BUDGET_MS / this.stepMs)));
      owed = this.playing ? Math.min(most, owed + seconds * this.rate) : 0;
      const count = Math.floor(owed);
      if (count) await this.advance(count);
      owed -= count;
      counted += count;
      if (now - since > 500) {
        this.measured = (1000 * counted) / (now - since);
        [counted, since] = [0, now];
      }
      if (!this.playing && now - drawn < PAUSED_MS) continue;
      drawn = now;
      this.draw();
    }
    this.running = false;
  }

  /** Makes steps once those that are under way are made. */
  advance(count) {
    this.turn = this.turn.then(() => this.#advance(count));
    return this.turn;
  }

  async #advance(count) {
    const begin = performance.now();
    try {
      await this.step(count);
    } catch (error) {
      this.playing = false;
      this.failed(error);
    }
    this.stepMs += 0.2 * ((performance.now() - begin) / count - this.stepMs);
  }
}
