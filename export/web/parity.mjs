// Runs CAs in Chromium, for tests/export/test_web_parity.py: exported graphs as docs/export.md says, with plain
// TF.js, and the page's own CA, in which a seed must be the run that it is in Python.
//
//   node parity.mjs JOBS.json
//
// Jobs of graphs are those of tests/export/run_tfjs.mjs with a `backend`. A job with a `page` ("growing"
// or "mnist") is {page, backend, steps, seed, state, given: {mask}, adversary, perturbation, defended, files, out}; the
// files are a visitor's model, and such jobs come last, because the page keeps it. Prints one JSON line a backend that
// is not there: {"backend": name, "missing": why}.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ready, withSite } from "./browser.mjs";

const jobs = JSON.parse(readFileSync(process.argv[2]));
const TFJS = new URL("node_modules/@tensorflow/", import.meta.url).pathname;
const SCRIPTS = [
  "tfjs-core/dist/tf-core.min.js",
  "tfjs-converter/dist/tf-converter.min.js",
  "tfjs-backend-wasm/dist/tf-backend-wasm.min.js",
  "tfjs-backend-webgl/dist/tf-backend-webgl.min.js",
];

/** Adds a page of plain TF.js, from the same packages that the site bundles. */
async function servePlain(page, address) {
  const body = SCRIPTS.map((path) => `<script src="/plain/tfjs/${path}"></script>`).join("");
  await page.route(`${address}plain/`, (route) => route.fulfill({ contentType: "text/html", body }));
  for (const [prefix, folder] of [["tfjs", TFJS], ["files", "/"]]) {
    await page.route(`${address}plain/${prefix}/**`, (route) => {
      const { pathname } = new URL(route.request().url());
      return route.fulfill({ path: join(folder, pathname.slice(`/plain/${prefix}/`.length)) });
    });
  }
}

/** Opens it on a backend; returns which one it got. */
async function openPlain(page, address, backend) {
  await page.goto(`${address}plain/`);
  return page.evaluate(async (backend) => {
    tf.wasm.setWasmPaths("/plain/tfjs/tfjs-backend-wasm/dist/");
    return (await tf.setBackend(backend).catch(() => false)) ? tf.getBackend() : "nothing";
  }, backend);
}

function runGraph(page, job) {
  return page.evaluate(async ({ model, steps, input, state, given, draws }) => {
    const read = async ({ file, shape }) => {
      const response = await fetch(`/plain/files${file}`);
      return { shape, values: new Float32Array(await response.arrayBuffer()) };
    };
    const whole = ({ shape, values }) => tf.tensor(values, shape);
    const ofStep = ({ shape: [, ...shape], values }, step) => {
      const size = shape.reduce((a, b) => a * b);
      return tf.tensor(values.subarray(step * size, (step + 1) * size), shape);
    };
    const each = (object, change) =>
      Object.fromEntries(Object.entries(object).map(([name, value]) => [name, change(value)]));
    const load = async (arrays) => {
      for (const [name, array] of Object.entries(arrays)) arrays[name] = await read(array);
      return arrays;
    };
    const graph = await tf.loadGraphModel(`/plain/files${model}/model.json`);
    const [fixed, drawn] = [each(await load(given), whole), await load(draws)];
    let current = whole(await read(state));
    for (let step = 0; step < steps; step++) {
      current = tf.tidy(() =>
        graph.execute({ [input]: current, ...fixed, ...each(drawn, (all) => ofStep(all, step)) }),
      );
    }
    return [...(await current.data())];
  }, job);
}

/** Gives the page a visitor's model; returns once it runs, paused. */
async function giveModel(page, files) {
  await page.evaluate(() => window.tfnca.growing.say(""));
  await page.locator("#files").setInputFiles(files);
  await page.locator('#lizard [data-name="message"]').filter({ hasText: /your model/ }).waitFor();
  await page.evaluate(() => window.tfnca.growing.play(false));
}

async function runPage(page, job) {
  if (job.files) await giveModel(page, job.files);
  const read = ({ file, shape }) => {
    const bytes = readFileSync(file);
    return { shape, values: [...new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)] };
  };
  const mask = job.given.mask && read(job.given.mask).values;
  const given = { ...job, state: read(job.state), mask };
  return page.evaluate(async ({ page, seed, steps, state, mask, adversary, perturbation, defended }) => {
    const playground = window.tfnca[page];
    if (adversary) playground.chooseAdversary(adversary);
    const { host, injected, constructor: CA } = playground.ca;
    const ca = new CA(page, state.shape[1], state.shape[2], seed);
    if (host.foreign) ca.become(host);
    Object.assign(ca, { host, injected, defended });
    ca.state.set(state.values);
    if (mask) ca.edit(() => ca.adversaries.set(mask));
    if (perturbation) ca.matrix = playground.perturbations[perturbation];
    for (let made = 0; made < steps; made += 5) await ca.step(5);
    return [...ca.state];
  }, given);
}

/** Opens the site on a backend with its playgrounds paused; returns which one it got. */
async function openSite(page, address, backend) {
  await page.goto(`${address}?seed=0&backend=${backend}`);
  await ready(page);
  return page.evaluate(() => {
    for (const playground of Object.values(window.tfnca)) playground.play(false);
    return document.querySelector("#backend").value;
  });
}

await withSite(async (open, address) => {
  const page = await open();
  await servePlain(page, address);
  // Plain pages first: once the site was open, its worker answers in the place of `page.route`.
  for (const [kind, start, runJob] of [["model", openPlain, runGraph], ["page", openSite, runPage]]) {
    for (const backend of ["wasm", "webgl"]) {
      const some = jobs.filter((job) => job[kind] && job.backend === backend);
      if (!some.length) continue;
      const started = await start(page, address, backend);
      if (started !== backend) {
        console.log(JSON.stringify({ backend, missing: `Chromium starts ${started} instead` }));
        continue;
      }
      for (const job of some) writeFileSync(job.out, new Float32Array(await runJob(page, job)));
    }
  }
});
