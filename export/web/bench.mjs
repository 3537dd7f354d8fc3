// Measures the built site in Chromium, best on a quiet machine: time to the first pictures, CA
// steps a second in both playgrounds, and the living box compared with the whole 96×96 grid.
// node bench.mjs [wasm|webgl|webgpu|cpu]

import { ready, withSite } from "./browser.mjs";

const backend = process.argv[2] ?? "wasm";

const began = performance.now();
await withSite(async (open, address) => {
  const page = await open();
  await page.goto(`${address}?backend=${backend}&seed=0`);
  await page.waitForFunction(() => window.tfnca?.mnist?.ca.index > 0);
  const moving = (performance.now() - began) / 1000;
  console.log(`from starting tfnca play and Chromium to a moving picture, s: ${moving.toPrecision(3)}`);
  await ready(page);
  const result = await page.evaluate(async () => {
    const { mnist, growing } = window.tfnca;
    for (const { loop } of [mnist, growing]) loop.playing = false;
    await new Promise((done) => setTimeout(done, 300));

    /** Milliseconds a step: the best of five rounds, each step with its copy in and out. */
    const time = async (ca, steps = 40) => {
      for (let i = 0; i < 10; i++) await ca.step();
      let best = Infinity;
      for (let round = 0; round < 5; round++) {
        const begin = performance.now();
        for (let i = 0; i < steps; i++) await ca.step();
        best = Math.min(best, (performance.now() - begin) / steps);
      }
      return best;
    };
    const grown = async (side, crop, perturbed = false) => {
      const ca = new growing.ca.constructor("growing", side, side, 0);
      ca.host = growing.ca.host;
      const middle = ((side >> 1) * side + (side >> 1)) * ca.channels;
      ca.state.fill(1, middle + 3, middle + ca.channels);
      for (let i = 0; i < 200; i++) await ca.step();
      ca.crop = crop;
      if (perturbed) ca.matrix = Object.values(growing.perturbations)[0];
      return time(ca);
    };
    const shown = (name) => performance.getEntriesByName(name)[0].startTime / 1000;
    const report = {
      "first picture, s": shown("first picture"),
      "models ready, s": shown("ready"),
    };
    if (growing.ca.host) {
      report["lizard, 96×96, whole grid, ms a step"] = await grown(96, false);
      report["lizard, 96×96, living box, ms a step"] = await grown(96, true);
      report["lizard, 72×72, living box, ms a step"] = await grown(72, true);
      report["lizard, 72×72, perturbed, ms a step"] = await grown(72, true, true);
    }
    if (mnist.ca.host) {
      report["digit, ms a step"] = await time(mnist.ca);
      mnist.ca.adversaries.fill(1, 0, 400);
      if (mnist.ca.injected) report["digit with adversaries, ms a step"] = await time(mnist.ca);
      mnist.ca.adversaries.fill(0);
    }
    for (const [name, playground] of Object.entries({ digits: mnist, lizard: growing })) {
      if (!playground.ca.host) continue;
      playground.part.speed.value = "max";
      playground.part.speed.oninput();
      playground.part.grid.scrollIntoView();
      playground.play(true);
      await new Promise((done) => setTimeout(done, 4000));
      playground.play(false);
      report[`${name} playground at “Fastest”, steps a second`] = playground.loop.measured;
    }
    return report;
  });
  console.log(`backend: ${await page.locator("#backend").inputValue()}`);
  for (const [name, value] of Object.entries(result)) {
    console.log(`${name}: ${value.toPrecision(3)}`);
  }
});
