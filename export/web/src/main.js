// Starts the page: backend, models, playgrounds, the settings that both share, visitors' files.

import { BACKENDS, startBackend, survey } from "./backend.js";
import { DigitsPlayground } from "./digits.js";
import { LizardPlayground } from "./lizard.js";
import { Model, kindName } from "./model.js";
import { fromHash } from "./moment.js";
import { readMatrix } from "./npy.js";
import { PALETTES } from "./palette.js";
import "./style.css";

const $ = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const seed = Number(query.get("seed") ?? Math.floor(Math.random() * 2 ** 31)) >>> 0;
const palette = { ...PALETTES.article };
const { embed } = document.documentElement.dataset; // "digits" or "lizard" inside another page
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;

const playgrounds = (window.tfnca = {}); // for the console and the bench
const models = new Set();

async function main() {
  settings();
  const site = await (await fetch("site.json")).json();
  const found = await survey();
  showBackend(found, await startBackend(query.get("backend"), found));
  playgrounds.mnist = new DigitsPlayground(
    $("digits"),
    site.digits.map((images) => images.map(bytes)),
    site.influence?.map((found) => found.map((one) => one && { ...one, weak: bytes(one.weak) })),
    palette,
    seed,
  );
  playgrounds.growing = new LizardPlayground(
    $("lizard"),
    await mapAsync(site.perturbations, async (url) =>
      readMatrix(await (await fetch(url)).arrayBuffer(), url),
    ),
    mapValues(site.targets, target),
    site.densities,
    palette,
    seed,
  );
  const { mnist, growing } = playgrounds;
  mnist.load(5); // a picture while the models are being fetched; three adversaries turn it
  mnist.forget();
  performance.mark("first picture");
  const lizards = ["invasion_red", "growing_adversary_red", "growing_adversary_no_tail"]; // begins with the last
  await Promise.all([
    embed !== "lizard" && start(mnist, site.models, "mnist", ["mnist_adversary"]),
    embed !== "digits" && start(growing, site.models, "growing_lizard", lizards),
  ]);
  const link = fromHash(location.hash);
  if (Object.hasOwn(playgrounds, link.play)) {
    playgrounds[link.play].section.scrollIntoView();
    playgrounds[link.play].arrive(link);
  }
  document.documentElement.dataset.ready = ""; // the tests wait for it
  performance.mark("ready");
  dropZone();
  if (import.meta.env.PROD) keepOffline().catch(() => {}); // the page works without
}

/** Gives a playground its models and starts it. Says what is missing or broken. */
async function start(playground, addresses, host, adversaries) {
  try {
    if (!addresses[host]) throw new Error("This build of the page has no model for this playground.");
    await use(playground, await Model.fetch(addresses[host]));
    for (const name of adversaries.filter((name) => addresses[name])) {
      const target = name.replace("growing_adversary_", "");
      await use(playground, await Model.fetch(addresses[name]), target);
    }
    if (still) playground.say("Paused, because your system asks for reduced motion. Press Play.");
  } catch (error) {
    playground.say(`${error.message} You can still open a model of your own, below.`, true);
  }
  playground.showAdversaryControls();
  playground.play(!still && Boolean(playground.ca.host));
  playground.draw(true);
}

async function use(playground, model, target) {
  playground.use(model, target);
  models.add(model);
}

function settings() {
  for (const [name, { label }] of Object.entries(PALETTES)) $("palette").add(new Option(label, name));
  $("palette").oninput = () => {
    Object.assign(palette, PALETTES[$("palette").value]);
    redraw();
  };
  $("hue").oninput = () => {
    document.documentElement.style.setProperty("--hue", `${$("hue").value}deg`);
    $("hueValue").textContent = `${$("hue").value}°`;
  };
  $("theme").oninput = () => {
    document.documentElement.dataset.theme = $("theme").value;
    redraw();
  };
}

const redraw = () => Object.values(playgrounds).forEach((playground) => playground.draw(true));

function showBackend(found, name) {
  const select = $("backend");
  const note = () => {
    const { missing, slow } = found.webgl;
    const why = missing ? `WebGL: ${missing}` : slow ? "the GPU is imitated in software" : "";
    $("backendNote").textContent = ["webgpu", "webgl"].includes(select.value) ? "" : why;
  };
  select.replaceChildren(
    ...Object.entries(BACKENDS).map(([value, label]) => {
      const { missing, slow } = found[value];
      const option = new Option(label + (slow ? " (software)" : missing ? " (none)" : ""), value);
      option.disabled = Boolean(missing);
      return option;
    }),
  );
  select.value = name;
  note();
  select.oninput = async () => {
    const playing = Object.values(playgrounds).map(({ loop }) => loop.playing);
    Object.values(playgrounds).forEach((playground) => playground.play(false));
    try {
      select.value = await startBackend(select.value, found);
      for (const model of models) await model.build();
    } catch (error) {
      Object.values(playgrounds).forEach((playground) => playground.say(error.message, true));
    }
    note();
    Object.values(playgrounds).forEach((playground, i) => playground.play(playing[i]));
  };
}

/** A visitor's model, perturbation or saved step: dropped anywhere on the page, or chosen. */
function dropZone() {
  const show = ({ section }) => {
    section.scrollIntoView({ behavior: still ? "auto" : "smooth" });
    $("dropMessage").hidden = true;
  };
  const open = async (list) => {
    const files = [...list];
    if (!files.length) return;
    try {
      const [{ name }] = files;
      if (name.endsWith(".tfnca")) await openMoment(files[0]);
      else if (name.endsWith(".npy")) await openMatrix(files[0]);
      else await openModel(files);
    } catch (error) {
      $("dropMessage").textContent = error.message;
      $("dropMessage").hidden = false;
    }
    $("files").value = "";
  };
  const openModel = async (files) => {
    const model = await Model.read(files);
    const playground = playgrounds[model.kind] ?? playgrounds.growing;
    if (!model.injected) {
      playground.dropAdversaries?.();
      playground.ca.injected = null;
    } else {
      playground.ca.host = null; // an injection brings its own
    }
    playground.useOwn?.();
    await use(playground, model, "yours");
    playground.showAdversaryControls();
    playground.say(`Running your model ${model.name} (${kindName(model.kind)}).`);
    playground.play(!still);
    show(playground);
  };
  const openMatrix = async (file) => {
    const { growing } = playgrounds;
    if (growing.foreign) throw new Error(`${file.name} is for the lizard. Reload the page to run that.`);
    growing.useMatrix(readMatrix(await file.arrayBuffer(), file.name));
    growing.say(`${file.name} acts at full strength. Its slider, “yours”, is the last one.`);
    growing.play(!still);
    show(growing);
  };
  /** The file says to which playground it belongs; the other refuses it. */
  const openMoment = async (file) => {
    const errors = [];
    for (const playground of Object.values(playgrounds)) {
      try {
        await playground.resume(file);
        return show(playground);
      } catch (error) {
        errors.push(error);
      }
    }
    throw errors.find(({ message }) => !/another playground/.test(message)) ?? errors[0];
  };
  $("files").oninput = () => open($("files").files);
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", async (event) => {
    event.preventDefault();
    open(await droppedFiles(event.dataTransfer));
  });
}

/** The dropped files, and those in dropped folders, without their subfolders. */
async function droppedFiles({ items }) {
  const promised = (begin) => new Promise((done, failed) => begin(done, failed));
  const filesIn = async (folder) => {
    const entries = await promised((...ends) => folder.createReader().readEntries(...ends));
    const files = entries.filter(({ isFile }) => isFile);
    return Promise.all(files.map((entry) => promised((...ends) => entry.file(...ends))));
  };
  // All are taken at once: after a wait, the browser no longer knows them.
  const dropped = [...items].map((item) => [item.webkitGetAsEntry(), item.getAsFile()]);
  const listed = dropped.map(([entry, file]) => (entry?.isDirectory ? filesIn(entry) : [file]));
  return (await Promise.all(listed)).flat().filter(Boolean);
}

const bytes = (base64) => Uint8ClampedArray.from(atob(base64), (char) => char.charCodeAt(0));

/** A target's premultiplied bytes as numbers, and as a picture (which is not premultiplied). */
function target({ label, colour, picture: base64 }) {
  const premultiplied = bytes(base64);
  const values = Float32Array.from(premultiplied, (byte) => byte / 255);
  const picture = premultiplied.map((byte, i) =>
    i % 4 === 3 ? byte : (255 * byte) / (premultiplied[i | 3] || 255),
  );
  return { label, colour, side: Math.sqrt(premultiplied.length / 4), values, bytes: picture };
}

const mapAsync = async (object, change) =>
  Object.fromEntries(
    await Promise.all(Object.entries(object).map(async ([name, value]) => [name, await change(value)])),
  );

const mapValues = (object, change) =>
  Object.fromEntries(Object.entries(object).map(([name, value]) => [name, change(value)]));

main().catch((error) => {
  for (const node of document.querySelectorAll('[data-name="message"]')) {
    node.textContent = `The playground cannot start: ${error.message}`;
    node.dataset.kind = "error";
  }
});

async function keepOffline() {
  const build = import.meta.url.match(/([\w-]+)\.js/)?.[1] ?? "page"; // its name has a hash
  await navigator.serviceWorker.register(`sw.js?build=${build}`);
  const { active } = await navigator.serviceWorker.ready;
  const fetched = performance.getEntriesByType("resource").map(({ name }) => name);
  const own = fetched.filter((url) => url.startsWith(location.origin));
  active.postMessage([location.pathname, ...new Set(own)]); // a file of two models is there twice
}
