// Drives the built site in Chromium as a visitor would. Prints one JSON line a check:
// {"check": name, "error": null or what went wrong}. Screenshots go to the folder given.
// node e2e.mjs SCREENSHOTS [GROUP...], a group being a name in `wanted(...)` below

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { ready, withSite } from "./browser.mjs";

const [screenshots, ...groups] = process.argv.slice(2);
const wanted = (group) => !groups.length || groups.includes(group);
const SITE = new URL("../../tfnca/site/", import.meta.url).pathname;
const MODELS = new URL("../../saved_models/", import.meta.url).pathname;
mkdirSync(screenshots, { recursive: true });
const PATIENCE = { timeout: Number(process.env.TFNCA_PATIENCE ?? 90_000) };
const { densities } = JSON.parse(readFileSync(join(SITE, "site.json")));

async function check(name, work) {
  let error = null;
  try {
    await work();
  } catch (failure) {
    error = String(failure.stack ?? failure).slice(0, 1500);
  }
  console.log(JSON.stringify({ check: name, error }));
}

function expect(condition, message) {
  if (!condition) throw new Error(message);
}

const shot = (page, name, options) =>
  page.screenshot({ path: join(screenshots, `${name}.png`), ...options });

/** Ends a page, with its browser: an open playground keeps running and takes the cores. */
const leave = (page) => page.context().close();

const part = (page, section, name) => page.locator(`#${section} [data-name="${name}"]`);

/** Makes so many steps of a paused playground, whatever the pace of frames: a run is repeatable. */
const settle = (page, steps, name = "mnist") =>
  page.evaluate(
    async ([steps, name]) => {
      const playground = window.tfnca[name];
      while (playground.ca.waiting) await new Promise(requestAnimationFrame);
      for (const end = playground.ca.index + steps; playground.ca.index < end; ) {
        await playground.advance(Math.min(10, end - playground.ca.index));
      }
      playground.draw(true);
    },
    [steps, name],
  );

/** Pauses a playground and waits until its last step is made. */
const pause = (page, name) =>
  page.evaluate(async (name) => {
    const playground = window.tfnca[name];
    playground.play(false);
    while (playground.ca.waiting) await new Promise(requestAnimationFrame);
  }, name);

/** Waits until more than half of the cells read `digit`. */
async function reads(page, digit) {
  const wait = page.waitForFunction(
    (wanted) => {
      const verdict = document.querySelector('#digits [data-name="verdict"]');
      return verdict.dataset.class === String(wanted) && parseInt(verdict.textContent) > 50;
    },
    digit,
    PATIENCE,
  );
  await wait.catch(async () => {
    const verdict = await part(page, "digits", "verdict").textContent();
    const steps = await part(page, "digits", "steps").textContent();
    throw new Error(`waiting for a ${digit}: ${verdict}. ${steps}`);
  });
}

/** Where a cell of a playground's canvas is on the page. */
async function cells(page, section, side) {
  const grid = part(page, section, "grid");
  await grid.scrollIntoViewIfNeeded();
  const box = await grid.boundingBox();
  return ([column, row]) => [
    box.x + ((column + 0.5) * box.width) / side,
    box.y + ((row + 0.5) * box.height) / side,
  ];
}

const THREE = [
  [9, 7], [12, 5], [16, 5], [18, 8], [17, 11], [13, 13],
  [17, 15], [19, 18], [17, 21], [13, 22], [9, 20],
]; // prettier-ignore
const ON_THE_STROKE = [
  [12, 5], [16, 5], [18, 8], [17, 11], [13, 13],
  [17, 15], [19, 18], [17, 21], [13, 22], [9, 7],
]; // prettier-ignore

async function digits(page) {
  await check("a drawn 3 is a 3", async () => {
    await part(page, "digits", "speed").selectOption("max");
    await part(page, "digits", "play").click();
    await part(page, "digits", "bin").click();
    const at = await cells(page, "digits", 28);
    await page.mouse.move(...at(THREE[0]));
    await page.mouse.down();
    for (const point of THREE.slice(1)) await page.mouse.move(...at(point));
    await page.mouse.up();
    await settle(page, 200);
    await reads(page, 3);
    await shot(page, "digits_drawn");
  });
  await check("ten adversaries make it an 8", async () => {
    await page.locator("#digits").getByText("Draw adversary", { exact: true }).click();
    expect(await part(page, "digits", "brush").isDisabled(), "a brush for single cells");
    const at = await cells(page, "digits", 28);
    for (const point of ON_THE_STROKE) await page.mouse.click(...at(point));
    await settle(page, 200);
    const census = await part(page, "digits", "census").textContent();
    await reads(page, 8);
    await shot(page, "digits_deceived");
    expect(/ 10 adversaries/.test(census), census);
  });
  await check("without them it is a 3 again", async () => {
    await part(page, "digits", "remove").click();
    await settle(page, 200);
    await reads(page, 3);
    await shot(page, "digits_recovered");
  });
  await check("the keyboard does it all", async () => {
    await part(page, "digits", "play").click();
    const grid = part(page, "digits", "grid");
    await grid.focus();
    await grid.press("7");
    await reads(page, 7);
    await grid.press("p");
    await grid.press("a");
    const census = () => part(page, "digits", "census").textContent();
    const before = await census();
    await grid.press("ArrowDown");
    await grid.press("Enter");
    // What is done during a step is applied after it.
    await part(page, "digits", "census").filter({ hasText: ", 1 adversary" }).waitFor(PATIENCE);
    await grid.press("u");
    await part(page, "digits", "census").filter({ hasText: new RegExp(`^${before}$`) }).waitFor(PATIENCE);
    const step = () => part(page, "digits", "steps").textContent();
    expect((await step()).includes("paused"), await step());
    await grid.press("d");
  });
  const digit = (name) => part(page, "digits", "digits").locator("button").nth(name);
  const about = () => part(page, "digits", "about").textContent();
  await check("one adversary where it does most", async () => {
    await digit(0).click();
    await settle(page, 60);
    await part(page, "digits", "showWeak").check();
    await shot(page, "digits_weak_spots");
    expect(/larger the dot/.test(await about()), await about());
    await part(page, "digits", "placeBest").click();
    const census = await part(page, "digits", "census").textContent();
    expect(/ 1 adversary /.test(census), census);
    await settle(page, 200);
    await reads(page, 8);
    await shot(page, "digits_one_adversary");
  });
  await check("weak spots keep the classes' colours, and say where there are none", async () => {
    await part(page, "digits", "showWeak").check();
    await part(page, "digits", "remove").click();
    await digit(4).click();
    await settle(page, 60);
    const { coloured, dark } = await page.evaluate(() => {
      const { ca, palette, screen } = window.tfnca.mnist;
      const { width, height, context, scale } = screen;
      const [r, g, b] = palette.digits[4];
      const found = { coloured: 0, dark: 0 };
      for (let cell = 0; cell < width * height; cell++) {
        if (ca.state[cell * ca.channels] < 0.99) continue;
        const at = (fraction) =>
          context.getImageData(
            Math.floor((cell % width + fraction) * scale), Math.floor((Math.floor(cell / width) + fraction) * scale), 1, 1,
          ).data; // prettier-ignore
        const corner = at(0.9);
        if (Math.hypot(corner[0] - r, corner[1] - g, corner[2] - b) < 60) found.coloured++;
        if (Math.max(...at(0.5).slice(0, 3)) < 60) found.dark++;
      }
      return found;
    });
    expect(coloured > 10 && dark > 10, JSON.stringify({ coloured, dark }));
    await digit(8).click();
    await page.waitForFunction(() => /An 8 has no weak spots/.test(document.querySelector("#digits .about").textContent), null, PATIENCE);
    await part(page, "digits", "bin").click();
    await page.waitForFunction(() => /known for loaded digits/.test(document.querySelector("#digits .about").textContent), null, PATIENCE);
    await part(page, "digits", "showWeak").uncheck();
  });
  await check("defended cells", async () => {
    const hosts = part(page, "digits", "hosts");
    await digit(6).click();
    await part(page, "digits", "density").fill("10");
    await part(page, "digits", "sprinkle").click();
    await settle(page, 200);
    await reads(page, 8);
    await hosts.getByText("Defended").click(); // the same digit with the same adversaries
    await settle(page, 200);
    await reads(page, 6);
    await shot(page, "digits_defended");
    expect(/ignored/.test(await about()), await about());
    await hosts.getByText("Standard").click();
    await settle(page, 200);
    await reads(page, 8);
    await part(page, "digits", "remove").click();
  });
}

/** What a visitor finds before touching anything, on a small laptop. */
async function firstView(open, address) {
  const page = await open({ viewport: { width: 1366, height: 650 } });
  await page.goto(`${address}?seed=3`);
  await ready(page);
  await check("the first view shows a digit being read, and what to do", async () => {
    await page.waitForFunction(() => window.tfnca.mnist.ca.index > 40, null, PATIENCE);
    await shot(page, "first_view");
    for (const name of ["grid", "message", "verdict", "play", "sprinkle"]) {
      const box = await part(page, "digits", name).boundingBox();
      expect(box.y + box.height <= 650, `${name} ends at ${box.y + box.height} px`);
    }
    const verdict = await part(page, "digits", "verdict").textContent();
    expect(/^\d+ % of the cells read 5$/.test(verdict), verdict);
    const tool = await page.evaluate(() => window.tfnca.mnist.tool);
    expect(tool === "adversary", tool);
    expect(/Click three pixels/.test(await part(page, "digits", "message").textContent()), "no hint");
    const settings = await page.locator(".settings").boundingBox();
    const own = await page.locator(".own").boundingBox();
    expect(settings.y > own.y, "the settings are not last");
  });
  await check("messages and Compare move nothing", async () => {
    const places = () =>
      page.evaluate(() =>
        ["grid", "play", "verdict", "plot"].map((name) => {
          const { left, top } = document.querySelector(`#digits [data-name="${name}"]`).getBoundingClientRect();
          return `${name} ${left} ${top + scrollY}`;
        }).join(),
      );
    const before = await places();
    await page.evaluate(() => window.tfnca.mnist.say("A long message. ".repeat(20), true));
    expect((await places()) === before, "a message moves the page");
    await shot(page, "message");
    await part(page, "digits", "compare").click();
    await shot(page, "compare");
    const compared = await places();
    expect(compared === before, `${before} became ${compared}`);
    await part(page, "digits", "compare").click();
    await page.evaluate(() => window.tfnca.mnist.say(""));
  });
  await check("a screen reader hears at most one message a second", async () => {
    const heard = await page.evaluate(async () => {
      const { mnist } = window.tfnca;
      mnist.play(false);
      await new Promise((resolve) => setTimeout(resolve, 1100));
      for (let i = 0; i < 30; i++) mnist.announce(`message ${i}`);
      const live = document.querySelectorAll("#digits .panel [role=status], #digits .panel [aria-live]");
      return { first: mnist.part.status.textContent, live: live.length };
    });
    expect(heard.first === "message 0" && heard.live === 1, JSON.stringify(heard));
  });
  await leave(page);
}

/** One playground in a frame of another page, and the module that another page imports. */
async function embedded(open, address) {
  const page = await open({ viewport: { width: 600, height: 500 } });
  for (const [name, other] of [["digits", "lizard"], ["lizard", "digits"]]) {
    await check(`the ${name} embedded`, async () => {
      await page.goto(`${address}?seed=3&embed=${name}`);
      await ready(page);
      await page.waitForFunction((key) => window.tfnca[key].ca.index > 10, name === "digits" ? "mnist" : "growing", PATIENCE);
      await shot(page, `embed_${name}`);
      const size = await page.evaluate(() => {
        const { scrollWidth, scrollHeight } = document.documentElement;
        return [scrollWidth, scrollHeight];
      });
      expect(size[0] <= 600 && size[1] <= 500, `it needs ${size.join("×")}`);
      const visible = await page.locator(`#${other}, header, footer, .settings, .own`).evaluateAll((all) =>
        all.filter((node) => node.checkVisibility()).map((node) => node.className || node.id),
      );
      expect(!visible.length, `also visible: ${visible.join()}`);
      if (name === "lizard") {
        await page.locator("#k_no_tail").fill("1");
        expect(await page.evaluate(() => window.tfnca.growing.ca.matrix !== null), "the slider does nothing");
      } else {
        await part(page, "digits", "sprinkle").click();
        await part(page, "digits", "census").filter({ hasText: "adversaries" }).waitFor(PATIENCE);
      }
    });
  }
  await check("another page runs the CA in twenty lines", async () => {
    await page.goto(`${address}example.html`);
    await page.waitForFunction(
      () => {
        const { data } = canvas.getContext("2d").getImageData(0, 0, 72, 72);
        return data.filter((value, i) => i % 4 === 0 && data[i + 3] && value < 128).length > 300;
      },
      null,
      PATIENCE,
    );
    await shot(page, "example");
    expect(!page.errors.length, page.errors.join("\n"));
    const lines = readFileSync(join(SITE, "example.html"), "utf8").trim().split("\n").length;
    expect(lines <= 24, `${lines} lines`);
  });
  await leave(page);
}

async function lizard(page) {
  const section = page.locator("#lizard");
  const steps = async () => parseInt((await part(page, "lizard", "steps").textContent()).slice(5));
  const until = (step) =>
    page.waitForFunction(
      (wanted) =>
        parseInt(document.querySelector('#lizard [data-name="steps"]').textContent.slice(5)) >=
        wanted,
      step,
      PATIENCE,
    );
  const distance = async (name) =>
    Number(await section.locator(`[data-target="${name}"] .distance`).textContent());
  const verdict = () => part(page, "lizard", "verdict").textContent();
  await part(page, "lizard", "grid").scrollIntoViewIfNeeded();

  await check("the tail slider removes the tail", async () => {
    await part(page, "lizard", "speed").selectOption("max");
    await until(10);
    await pause(page, "growing");
    expect((await verdict()) === "Growing", await verdict());
    await settle(page, 190, "growing");
    expect((await verdict()) === "A complete lizard", await verdict());
    await shot(page, "lizard_grown");
    await section.locator("#k_no_tail").fill("1");
    await settle(page, 150, "growing");
    const [tailless, plain] = [await distance("no_tail"), await distance("lizard")];
    await shot(page, "lizard_no_tail");
    expect(tailless < plain, `MSE without the tail ${tailless}, of the whole lizard ${plain}`);
    expect((await verdict()) === "Nearest target: no tail", await verdict());
  });
  await check("damage, seed and reset", async () => {
    const at = await cells(page, "lizard", 72);
    const before = await distance("no_tail");
    await page.mouse.move(...at([36, 36]));
    await page.mouse.down();
    await page.mouse.move(...at([30, 44]));
    await page.mouse.up();
    await page.waitForTimeout(300);
    expect((await distance("no_tail")) > before, "the damage does not show");
    await page.keyboard.down("Shift");
    await page.mouse.click(...at([66, 6]));
    await page.keyboard.up("Shift");
    await shot(page, "lizard_damaged");
    await part(page, "lizard", "reset").click();
    expect((await steps()) === 0, "reset does not start from step 0");
  });
  for (const figure of [11, 12, 13, 14]) {
    await check(`Figure ${figure} runs`, async () => {
      await section.locator(`[data-figure="${figure}"]`).click();
      await until(5);
      await pause(page, "growing");
      await settle(page, figure === 14 ? 250 : 50, "growing");
      const nearest = await part(page, "lizard", "verdict").getAttribute("data-nearest");
      const kind = await part(page, "lizard", "message").getAttribute("data-kind");
      await shot(page, `figure_${figure}`);
      expect(nearest && kind === "hint", `nearest: ${nearest}, a message: ${kind}`);
      const k = Number(await section.locator("#k_no_tail").inputValue());
      expect(k > 0, `k of the tail is ${k}`);
    });
  }
  await check("sprinkled adversaries remove the tail", async () => {
    await part(page, "lizard", "reset").click();
    await part(page, "lizard", "zero").click();
    await pause(page, "growing");
    await settle(page, 200, "growing");
    await part(page, "lizard", "sprinkle").click();
    await settle(page, 300, "growing");
    const census = await part(page, "lizard", "census").textContent();
    await shot(page, "lizard_injected");
    expect(/\d+ adversaries/.test(census), census);
    expect((await verdict()) === "Nearest target: no tail", await verdict());
    for (const [target, density] of Object.entries(densities)) {
      await part(page, "lizard", "adversary").selectOption(target);
      const shown = await part(page, "lizard", "densityValue").textContent();
      expect(shown === `${Math.round(100 * density)} %`, `${target}: ${shown}`);
    }
    await part(page, "lizard", "remove").click();
  });
  await check("adversaries that spread take over a lizard that stays where it is", async () => {
    await part(page, "lizard", "reset").click();
    await settle(page, 200, "growing");
    await part(page, "lizard", "adversary").selectOption("invasion_red");
    expect((await verdict()) === "A complete lizard", await verdict());
    expect(await section.locator("#k_no_tail").isDisabled(), "a matrix could be chosen");
    const share = async () => parseInt((await part(page, "lizard", "census").textContent()).match(/\d+ %/)[0]);
    expect((await share()) === 0, `${await share()} % before`);
    await part(page, "lizard", "sprinkle").click();
    const first = await share();
    expect(first < 10, `${first} % at first`);
    await settle(page, 300, "growing");
    await shot(page, "lizard_invaded");
    expect((await share()) > 60, `${await share()} % after 300 steps`);
    expect((await distance("red")) < (await distance("lizard")), "it is not red");
    await part(page, "lizard", "adversary").selectOption("no_tail");
    const cells = await part(page, "lizard", "census").textContent();
    expect(cells === "Not perturbed", cells);
    expect(await section.locator("#k_no_tail").isEnabled(), "no matrix can be chosen");
    await part(page, "lizard", "reset").click();
  });
  await check("red is told from green without colour", async () => {
    await page.locator("#palette").selectOption("distinct");
    const dark = await page.evaluate(() => {
      const { ca, screen } = window.tfnca.growing;
      ca.state.fill(0);
      const paint = (cell, [r, g, b]) => ca.state.set([r, g, b, 1], cell * 16);
      for (let i = 0; i < 8; i++) paint(30 * 72 + 30 + i, [0.9, 0.2, 0.1]);
      for (let i = 0; i < 8; i++) paint(30 * 72 + 40 + i, [0.2, 0.7, 0.1]);
      window.tfnca.growing.draw(true);
      const middle = (cell) => {
        const at = (n) => Math.floor((n + 0.5) * screen.scale);
        return screen.context.getImageData(at(cell % 72), at(Math.floor(cell / 72)), 1, 1).data;
      };
      return [30, 40].map((column) => Math.max(...middle(30 * 72 + column + 2).slice(0, 3)));
    });
    expect(dark[0] < 120 && dark[1] > 150, `brightness of red and of green: ${dark.join()}`);
    await page.locator("#palette").selectOption("article");
    await part(page, "lizard", "reset").click();
  });
}

const fraction = (step, from, to) => Math.min(1, Math.max(0, (step - from) / (to - from)));
const SCHEDULES = {
  11: (step) => ({ no_tail: 1, no_leg: 0, off: step >= 500 && step < 1000 }),
  12: (step) => ({ no_tail: 1 - 2 * fraction(step, 200, 1000), no_leg: 0, off: false }),
  13: (step) => ({
    no_tail: 1 - fraction(step, 200, 900),
    no_leg: fraction(step, 200, 900),
    off: false,
  }),
  14: (step) => ({ no_tail: Number(step >= 200), no_leg: Number(step >= 200), off: false }),
};

/** The figures, without the pace of frames. */
async function figures(page) {
  const start = async (figure) => {
    await page.locator(`#lizard [data-figure="${figure}"]`).click();
    await page.evaluate(async () => {
      const { growing } = window.tfnca;
      growing.play(false);
      while (growing.ca.waiting) await new Promise(requestAnimationFrame);
    });
  };
  await check("Figure 11 removes the tail", async () => {
    await start(11);
    const distances = await page.evaluate(async () => {
      const { growing } = window.tfnca;
      while (growing.ca.index < 300) await growing.advance(10);
      growing.draw(true);
      const read = (name) => Number(growing.rows[name].distance.textContent);
      return { tailless: read("no_tail"), plain: read("lizard"), at: growing.ca.index };
    });
    await shot(page, "figure_11_tailless");
    const { tailless, plain } = distances;
    expect(tailless < plain && tailless < 0.01, JSON.stringify(distances));
  });
  await check("the figures keep to their schedules", async () => {
    for (const [figure, schedule] of Object.entries(SCHEDULES)) {
      await start(figure);
      // Steps of an empty grid cost nothing, and the schedule knows only their number.
      const trace = await page.evaluate(async () => {
        const { growing } = window.tfnca;
        growing.ca.state.fill(0);
        const trace = [];
        for (;;) {
          const { ca, part, rows } = growing;
          const [no_tail, no_leg] = [rows.no_tail, rows.no_leg].map(({ slider }) => +slider.value);
          const shown = { no_tail, no_leg, off: part.lift.checked };
          trace.push({ step: ca.index, perturbed: ca.matrix !== null, shown });
          if (ca.index > 1100) return trace;
          await growing.advance(12);
        }
      });
      trace.forEach(({ step, perturbed, shown }) => {
        const wanted = schedule(step);
        const right =
          perturbed === (!wanted.off && Boolean(wanted.no_tail || wanted.no_leg)) &&
          shown.off === wanted.off &&
          ["no_tail", "no_leg"].every((name) => Math.abs(shown[name] - wanted[name]) < 0.006);
        const found = JSON.stringify({ step, perturbed, shown, wanted });
        expect(right, `Figure ${figure}: ${found}`);
      });
      const steps = trace.map(({ step }) => step);
      const turns = { 11: [500, 1000], 12: [200, 1000], 13: [200, 900], 14: [200] }[figure];
      expect(turns.every((turn) => steps.includes(turn)), `Figure ${figure} leaps over a turn`);
    }
    await part(page, "lizard", "reset").click();
    await part(page, "lizard", "zero").click();
  });
}

/** A step on the living box must equal the step on the whole grid, with the same seed. */
async function crop(page) {
  await check("the living box equals the whole grid", async () => {
    const worst = await page.evaluate(async () => {
      const { mnist, growing } = window.tfnca;
      for (const { loop } of [mnist, growing]) loop.playing = false;
      await new Promise((done) => setTimeout(done, 200));
      const run = async ({ ca: { constructor: CA, kind, host, injected } }, whole, prepare) => {
        const ca = new CA(kind, 40, 56, 5);
        Object.assign(ca, { host, injected, crop: !whole });
        prepare(ca);
        for (const count of [1, 4, 2, 7, 6]) await ca.step(count);
        return ca.state;
      };
      const seed = (ca) => ca.state.fill(1, (20 * 56 + 28) * 16 + 3, (20 * 56 + 28) * 16 + 16);
      const matrix = Object.values(growing.perturbations)[0];
      const stroke = (ca) => {
        for (let cell = 8 * 56 + 9; cell < 30 * 56; cell += 56) ca.state[cell * 20] = 0.9;
      };
      const some = (ca) => ca.adversaries.forEach((_, i) => (ca.adversaries[i] = i % 3 === 0));
      const cases = [[growing, seed], [mnist, stroke]];
      if (matrix) cases.push([growing, (ca) => (seed(ca), (ca.matrix = matrix))]);
      if (mnist.ca.injected) cases.push([mnist, (ca) => (stroke(ca), some(ca))]);
      if (growing.ca.injected) cases.push([growing, (ca) => (seed(ca), some(ca))]);
      let worst = 0;
      for (const [playground, prepare] of cases) {
        const [box, whole] = [
          await run(playground, false, prepare),
          await run(playground, true, prepare),
        ];
        if (!box.some(Boolean)) return "nothing lives";
        box.forEach((value, i) => (worst = Math.max(worst, Math.abs(value - whole[i]))));
      }
      return worst;
    });
    expect(worst < 1e-5, `largest difference ${worst}`);
  });
}

/** An export with one file of weights. */
function readExport(name) {
  const folder = join(MODELS, name, "tfjs");
  const json = JSON.parse(readFileSync(join(folder, "model.json")));
  const groups = json.weightsManifest;
  const weights = Buffer.concat(groups.flatMap(({ paths }) => paths).map((path) => readFileSync(join(folder, path))));
  json.weightsManifest = [{ paths: ["weights.bin"], weights: groups.flatMap((group) => group.weights) }];
  return { json, weights };
}

async function own(page) {
  const { json: digits, weights } = readExport("mnist");
  const give = async (metadata, bytes = weights, json = digits) => {
    const changed = { ...json, userDefinedMetadata: { ...json.userDefinedMetadata, ...metadata } };
    await page.locator("#files").setInputFiles([
      { name: "model.json", mimeType: "application/json", buffer: Buffer.from(JSON.stringify(changed)) },
      { name: "weights.bin", mimeType: "application/octet-stream", buffer: bytes },
    ]);
  };
  const refused = async (pattern) => {
    const message = page.locator("#dropMessage");
    await message.filter({ hasText: pattern }).waitFor(PATIENCE);
  };
  await check("a model of another kind is refused", async () => {
    await give({ kind: "ImageClassifier", networks: ["ImageClassifier"] });
    await refused(/cannot run here: .* Received: a step of kind ImageClassifier/);
    await give({ kind: "GrowingCA", networks: ["GrowingCA"], channels: 16 });
    await refused(/damaged/);
    await shot(page, "refused");
  });
  await check("a rule that the page cannot run is refused in plain words", async () => {
    const rule = { alive: null, fixed: 0, inputs: 0, noise_std: null };
    const cases = [
      [{ inputs: 32 }, 12, /each step needs 32 inputs/],
      [{ fixed: 1 }, 32, /first 1 channels must hold an image/],
      [{ noise_std: 0.02 }, 12, /noise/],
      [{ alive: { kind: "alpha", channel: 0, threshold: 0.1 } }, 12, /live by channel 0/],
      [{}, 3, /it has 3 channels/],
    ];
    for (const [part, channels, words] of cases) {
      await give({ kind: "NeuralCA", networks: ["NeuralCA"], channels, rules: [{ ...rule, ...part }] });
      await refused(words);
    }
    await give({ kind: "Injected", networks: ["NeuralCA", "NeuralCA"], rules: [rule, rule] });
    await refused(/Received: a step of kind Injected/);
  });
  await check("a model that is not exported is refused with the command", async () => {
    const buffer = readFileSync(join(MODELS, "growing_lizard/model.keras"));
    await page.locator("#files").setInputFiles([{ name: "mine.keras", mimeType: "application/zip", buffer }]);
    await refused(/tfnca export mine\.keras --format tfjs --out exported/);
  });
  await check("a damaged model is refused", async () => {
    await give({}, weights.subarray(0, 1001));
    await refused(/damaged|cannot be read/);
    await give({}, Buffer.from(new Float32Array(weights.length / 4).fill(NaN).buffer));
    await refused(/damaged: (Axis|a step gives an invalid)/);
  });
  await check("a texture hides the lizard's targets, and a lizard brings them back", async () => {
    // The digits' graph, told to be a rule of which all cells live.
    const rule = { alive: null, fixed: 0, inputs: 0, noise_std: null };
    await give({ kind: "NeuralCA", networks: ["NeuralCA"], rules: [rule] });
    await part(page, "lizard", "verdict").filter({ hasText: "A texture of yours" }).waitFor(PATIENCE);
    await pause(page, "growing");
    const shown = () =>
      page.evaluate(() =>
        [".targets", "[data-perturbation]", ".panel figure", "[data-seed]"].map((query) =>
          document.querySelector(`#lizard ${query}`).checkVisibility(),
        ),
      );
    expect(!(await shown()).some(Boolean), `still shown: ${await shown()}`);
    await part(page, "lizard", "compare").click();
    const run = await page.evaluate(async () => {
      const { growing } = window.tfnca;
      growing.reset();
      growing.startFigure(11); // one for the lizard alone: nothing happens
      growing.edit((ca) => ca.state.fill(1));
      await growing.advance(3);
      const found = { channels: growing.ca.channels, cells: growing.ca.state.length / growing.ca.channels };
      const apart = growing.ca.state.some((value, i) => value !== growing.twin.ca.state[i]);
      growing.copyLink();
      return { ...found, apart, moved: growing.ca.state.some((value) => value !== 1), matrix: growing.ca.matrix };
    });
    expect(run.channels === 20 && run.cells === 72 * 72 && run.moved, JSON.stringify(run));
    expect(!run.apart && run.matrix === null, JSON.stringify(run));
    await part(page, "lizard", "message").filter({ hasText: "cannot contain your model" }).waitFor(PATIENCE);
    await shot(page, "texture");
    const lizard = readExport("growing_lizard");
    await give({ ...lizard.json.userDefinedMetadata }, lizard.weights, lizard.json);
    await part(page, "lizard", "message").filter({ hasText: /your model/ }).waitFor(PATIENCE);
    await pause(page, "growing");
    expect((await shown()).every(Boolean), `not shown: ${await shown()}`);
    await settle(page, 150, "growing");
    await part(page, "lizard", "verdict").filter({ hasText: "A complete lizard" }).waitFor(PATIENCE);
  });
  await check("a dropped folder with a model runs", async () => {
    const client = await page.context().newCDPSession(page);
    const drop = async (folder) => {
      const data = { items: [], files: [folder], dragOperationsMask: 1 };
      for (const type of ["dragEnter", "dragOver", "drop"]) {
        await client.send("Input.dispatchDragEvent", { type, x: 300, y: 300, data });
      }
    };
    await drop(join(MODELS, "mnist/saved_model"));
    await refused(/None of these files is a \.json file/);
    await drop(join(MODELS, "mnist/tfjs"));
    await part(page, "digits", "message").filter({ hasText: /your model/ }).waitFor(PATIENCE);
  });
  await check("a visitor's model runs", async () => {
    await give({});
    await part(page, "digits", "message").filter({ hasText: /your model/ }).waitFor(PATIENCE);
    await part(page, "digits", "grid").press("1");
    await reads(page, 1);
  });
}

/** Files and links that bring a run back, and those that do not. */
async function moments(open, address) {
  const page = await open();
  await page.goto(`${address}?seed=3`);
  await ready(page);
  const state = (of) =>
    of.evaluate(async () => {
      const { growing } = window.tfnca;
      growing.play(false);
      while (growing.ca.waiting) await new Promise(requestAnimationFrame);
      return { index: growing.ca.index, seed: growing.ca.seed, sum: growing.ca.state.reduce((a, b) => a + b * b, 0) };
    });
  const give = (name, buffer) =>
    page.locator("#files").setInputFiles([{ name, mimeType: "application/octet-stream", buffer }]);
  await check("a saved step continues", async () => {
    await pause(page, "mnist");
    await part(page, "lizard", "grid").scrollIntoViewIfNeeded(); // off the screen it pauses
    await page.waitForFunction(() => window.tfnca.growing.ca.index > 20, null, PATIENCE);
    const before = await state(page);
    const download = page.waitForEvent("download");
    await part(page, "lizard", "save").click();
    const file = await download;
    const bytes = readFileSync(await file.path());
    const { index } = JSON.parse(gunzipSync(bytes).subarray(0, 300).toString("latin1").split("\n")[0]);
    expect(file.suggestedFilename() === `growing-step-${index}.tfnca`, `${file.suggestedFilename()} holds step ${index}`);
    expect(bytes.length < 200_000, `${bytes.length} bytes`);
    await part(page, "lizard", "reset").click();
    expect((await state(page)).index === 0, "not reset");
    await give("mine.tfnca", bytes);
    await part(page, "lizard", "message").filter({ hasText: /Continued from mine.tfnca/ }).waitFor(PATIENCE);
    const after = await state(page);
    expect(JSON.stringify(after) === JSON.stringify(before), `${JSON.stringify([before, after])}`);
    for (const [what, wrong, pattern] of [
      ["cut off", bytes.subarray(0, bytes.length >> 1), /not a step saved|damaged/],
      ["no gzip", Buffer.from("a lizard"), /not a step saved/],
      ["a bomb", gzipSync(Buffer.alloc(2e7)), /too large/],
      ["other sizes", gzipSync(Buffer.from('{"format":"tfnca moment 1","kind":"growing","height":9}\n')), /another playground/],
      ["NaN", gzipSync(spoilt(gunzipSync(bytes))), /no run can reach/],
    ]) {
      await give("wrong.tfnca", wrong);
      await page.locator("#dropMessage").filter({ hasText: pattern }).waitFor(PATIENCE);
      expect(JSON.stringify(await state(page)) === JSON.stringify(before), `${what} changed the state`);
      await page.evaluate(() => (document.getElementById("dropMessage").textContent = ""));
    }
  });
  await check("a link brings the settings back", async () => {
    await page.locator("#k_no_tail").fill("0.4");
    await part(page, "lizard", "lift").check();
    await page.evaluate(() => {
      const { growing } = window.tfnca;
      growing.ca.index = 30;
      growing.ca.adversaries.set([1, 0, 1, 1], 2600);
    });
    await part(page, "lizard", "link").click();
    await part(page, "lizard", "message").filter({ hasText: /link is on|shows the link/ }).waitFor(PATIENCE);
    const other = await open();
    await other.goto(page.url());
    await ready(other);
    await pause(other, "mnist");
    await part(other, "lizard", "message").filter({ hasText: /Step 30, as linked/ }).waitFor(PATIENCE);
    expect((await state(other)).index === 30, "another step");
    const adversaries = (of) => of.evaluate(() => window.tfnca.growing.ca.adversaries.join(""));
    expect((await adversaries(other)) === (await adversaries(page)), "other adversaries");
    expect((await other.locator("#k_no_tail").inputValue()) === "0.4", "another strength");
    expect(await part(other, "lizard", "lift").isChecked(), "the perturbation is not off");
    expect((await state(other)).seed === (await state(page)).seed, "another seed");
    await leave(other);
    const hostile = await open();
    await hostile.goto(`${address}#play=growing&k_no_tail=1e999&seed=-4&figure=__proto__&lift=%3Cscript%3E&mask=AAAA&step=-7&x=${"9".repeat(5000)}`);
    await ready(hostile);
    expect((await hostile.locator("#k_no_tail").inputValue()) === "0", "a hostile strength");
    expect(!(await adversaries(hostile)).includes("1"), "hostile adversaries");
    expect(!hostile.errors.length, hostile.errors.join());
    await leave(hostile);
  });
  await leave(page);
  await check("a perturbation is dropped in", async () => {
    const own = await open();
    await own.goto(`${address}?seed=3`);
    await ready(own);
    await pause(own, "mnist");
    const file = readFileSync(join(MODELS, "perturbation_no_tail/perturbation.npy"));
    const hand = (buffer) => own.locator("#files").setInputFiles([{ name: "mine.npy", mimeType: "application/octet-stream", buffer }]);
    await hand(file);
    await part(own, "lizard", "message").filter({ hasText: /mine.npy acts at full strength/ }).waitFor(PATIENCE);
    await pause(own, "growing");
    const same = await own.evaluate(() => {
      const { ca, perturbations, rows } = window.tfnca.growing;
      const difference = ca.matrix.flat().map((value, i) => Math.abs(value - perturbations.no_tail.flat()[i]));
      return Math.max(...difference) < 1e-6 && rows.yours.slider.value === "1";
    });
    expect(same, "another matrix acts");
    await shot(own, "own_perturbation");
    for (const [wrong, pattern] of [
      [file.subarray(0, 500), /cut off or damaged/],
      [readFileSync(join(MODELS, "shift_no_tail/perturbation.npy")), /16×16 matrix. Received: shape \(16\)/],
      [Buffer.from("a lizard"), /not a NumPy file/],
    ]) {
      await hand(wrong);
      await own.locator("#dropMessage").filter({ hasText: pattern }).waitFor(PATIENCE);
    }
    await leave(own);
  });
  await check("the last seconds are a moving picture", async () => {
    const own = await open();
    await own.goto(`${address}?seed=3`);
    await ready(own);
    await part(own, "lizard", "grid").scrollIntoViewIfNeeded();
    await own.waitForFunction(() => window.tfnca.growing.recorder.frames.length > 9, null, PATIENCE);
    const download = own.waitForEvent("download");
    await own.evaluate(() => {
      const { record } = window.tfnca.growing.part;
      window.labels = [];
      new MutationObserver(() => window.labels.push(record.textContent)).observe(record, { childList: true });
    });
    await part(own, "lizard", "record").click();
    const bytes = readFileSync(await (await download).path());
    const labels = await own.evaluate(() => window.labels);
    expect(labels.length > 5 && labels.every((label) => /^\d+ %$|^GIF$/.test(label)), labels.join());
    expect(labels.at(-1) === "GIF", "the button keeps its progress");
    expect(bytes.subarray(0, 6).toString() === "GIF89a", "no GIF");
    expect(bytes.readUInt16LE(6) === 288 && bytes.readUInt16LE(8) === 288, "another size");
    writeFileSync(join(screenshots, "growing.gif"), bytes);
    await leave(own);
  });
  await check("compared with what happens without the attack", async () => {
    const own = await open();
    await own.goto(`${address}?seed=3`);
    await ready(own);
    await pause(own, "mnist");
    await pause(own, "growing");
    await settle(own, 150, "growing");
    await part(own, "lizard", "compare").click();
    await own.locator("#k_no_tail").fill("1");
    const tails = () =>
      own.evaluate(() => {
        const { growing } = window.tfnca;
        const far = (ca) =>
          ca.state.reduce((sum, value, i) => sum + (i % 16 === 3 && value > 0.1 ? 1 : 0), 0);
        return { attacked: far(growing.ca), alone: far(growing.twin.ca), step: growing.ca.index, twin: growing.twin.ca.index };
      });
    const begin = await tails();
    await settle(own, 250, "growing");
    const end = await tails();
    await shot(own, "what_if");
    expect(end.attacked < begin.attacked - 30, `the tail stayed: ${JSON.stringify([begin, end])}`);
    expect(Math.abs(end.alone - begin.alone) < 30, `the unattacked changed: ${JSON.stringify([begin, end])}`);
    expect(end.step === end.twin, "they are at different steps");
    await part(own, "lizard", "reset").click();
    const reset = await tails();
    expect(reset.alone === 1 && reset.twin === 0, "a reset is for both");
    await part(own, "lizard", "compare").click();
    expect(!(await own.locator("#lizard .view figcaption").count()), "still shown");
    await leave(own);
  });
}

/** A moment whose first number is NaN. */
function spoilt(bytes) {
  const copy = Buffer.from(bytes);
  copy.writeFloatLE(NaN, copy.indexOf(10) + 1);
  return copy;
}

/** Without a network, with damaged files, without WebGL, on a phone. */
async function others(page, open, address) {
  await check("no console error", async () => expect(!page.errors.length, page.errors.join("\n")));
  await check("no foreign request", async () => expect(!page.foreign.length, page.foreign.join()));
  await check("it works offline", async () => {
    await page.waitForFunction(() => navigator.serviceWorker?.controller, null, PATIENCE);
    await page.waitForFunction(
      async () => {
        const [name] = await caches.keys();
        return name && (await (await caches.open(name)).keys()).length > 10;
      },
      null,
      PATIENCE,
    );
    await page.context().setOffline(true);
    await page.reload();
    await ready(page);
    await part(page, "digits", "grid").press("1");
    await reads(page, 1);
    await page.context().setOffline(false);
  });

  await check("a new build drops the old one's cache", async () => {
    const names = await page.evaluate(async () => {
      await caches.open("tfnca-of-last-year");
      await navigator.serviceWorker.register("sw.js?build=new");
      while ((await caches.keys()).includes("tfnca-of-last-year")) {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      return caches.keys();
    });
    expect(names.every((name) => name === "tfnca-new"), `left: ${names.join()}`);
  });
  await leave(page);
  await check("a damaged file of the site gives a message", async () => {
    const broken = await open();
    await broken.route("**/models/mnist/model.keras", (route) => route.fulfill({ body: "x" }));
    await broken.goto(address);
    await ready(broken);
    const message = part(broken, "digits", "message");
    await message.filter({ hasText: /cannot be read|damaged/ }).waitFor(PATIENCE);
    await shot(broken, "damaged");
    const ink = await part(broken, "digits", "grid").evaluate((canvas) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return data.some((value) => value < 128);
    });
    expect(ink, "the canvas is blank");
    await leave(broken);
  });
  await check("without WebGL it says so and runs", async () => {
    const plain = await open({ reducedMotion: "reduce", colorScheme: "dark" });
    await plain.addInitScript(() => {
      const getContext = HTMLCanvasElement.prototype.getContext;
      HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
        return kind.startsWith("webgl") ? null : getContext.call(this, kind, ...rest);
      };
    });
    await plain.goto(address);
    await ready(plain);
    expect(/WebGL: not/.test(await plain.locator("#backendNote").textContent()), "no note");
    expect((await plain.locator("#backend").inputValue()) === "wasm", "not on WASM");
    const state = await part(plain, "digits", "steps").textContent();
    expect(/paused/.test(state), `reduced motion: ${state}`);
    await shot(plain, "dark", { fullPage: true });
    await leave(plain);
  });
  await check("a phone has room for it", async () => {
    const phone = await open({
      viewport: { width: 360, height: 740 },
      deviceScaleFactor: 2,
      isMobile: true,
      hasTouch: true,
    });
    await phone.goto(`${address}?seed=3`);
    await ready(phone);
    const width = await phone.evaluate(() => document.documentElement.scrollWidth);
    const at = await cells(phone, "digits", 28);
    await part(phone, "digits", "bin").tap();
    await phone.touchscreen.tap(...at([14, 14]));
    await phone.waitForTimeout(300);
    const census = await part(phone, "digits", "census").textContent();
    await shot(phone, "phone", { fullPage: true });
    await part(phone, "lizard", "zero").scrollIntoViewIfNeeded();
    const top = await part(phone, "lizard", "grid").evaluate((grid) => grid.getBoundingClientRect().top);
    await shot(phone, "phone-sliders");
    expect(Math.abs(top) < 2, `next to the sliders the canvas is at ${top} px`);
    expect(width <= 360, `the page is ${width} px wide`);
    expect(/^[1-9]\d* cells/.test(census), `a tap draws nothing: ${census}`);
  });
}

await withSite(async (open, address) => {
  const page = await open();
  await page.goto(`${address}?seed=3`);
  await ready(page);
  await shot(page, "page", { fullPage: true });
  if (wanted("digits")) await digits(page);
  await pause(page, "mnist");
  if (wanted("lizard")) await lizard(page);
  if (wanted("figures")) await figures(page);
  if (wanted("crop")) await crop(page);
  if (wanted("own")) await own(page);
  await pause(page, "mnist");
  await pause(page, "growing");
  if (wanted("first")) await firstView(open, address);
  if (wanted("embedded")) await embedded(open, address);
  if (wanted("moments")) await moments(open, address);
  if (wanted("others")) await others(page, open, address);
});
