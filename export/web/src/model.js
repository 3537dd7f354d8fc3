// Graph models: read from the site or from a visitor's files, checked before they are used.

import { io, ones, tensor, tidy, zeros } from "@tensorflow/tfjs-core";
import { loadGraphModel } from "@tensorflow/tfjs-converter";
import { ALPHA, KINDS } from "./ca.js";

const MOST_CHANNELS = 256; // of any size of grid that a browser can hold
const HOSTS = { GrowingCA: "growing", MNISTCA: "mnist" };
const KIND_NAMES = { growing: "growing CAs", mnist: "digits", texture: "textures" };

export class Model {
  /** A model at an address: a graph of this site, or a model.json of TensorFlow.js. */
  static async fetch(url) {
    return Model.#from({ load: () => fetchArtifacts(url) }, url);
  }

  /** A model that a visitor hands in: its model.json and .bin files. */
  static async read(files) {
    const own = files.find((file) => file.name.endsWith(".keras"));
    if (own) {
      throw new Error(
        `The page runs exported models. Run: tfnca export ${own.name} --format tfjs --out exported. ` +
          `Then open model.json and weights.bin of that folder together. Received: ${own.name}.`,
      );
    }
    const json = files.find((file) => file.name.endsWith(".json"));
    if (!json) {
      throw new Error("None of these files is a .json file. Choose model.json and its .bin files.");
    }
    const rest = files.filter((file) => file !== json);
    return Model.#from(io.browserFiles([json, ...rest]), json.name);
  }

  static async #from(handler, name) {
    const model = new Model();
    try {
      model.artifacts = await handler.load();
    } catch (error) {
      throw new Error(`${name} cannot be read: ${firstLine(error)}`);
    }
    const { kind: step, networks, channels, rules, fire_rate: fireRates, noise_std: noiseDeviations } =
      model.artifacts.userDefinedMetadata ?? {};
    const foreign = step === "NeuralCA" && rules?.length === 1;
    const spreads = step === "Invasion" && networks?.length === 2 && networks[1] === "GrowingCA";
    const kind = foreign ? kindOfRule(rules[0], channels, name) : HOSTS[networks?.[0]];
    if (!kind || !(foreign || spreads || step === "Injected" || step in HOSTS)) {
      throw new Error(
        `${name} cannot run here: the page runs GrowingCA, MNISTCA, injections of them, invasions by one adversary, and NeuralCA. ` +
          `Received: ${step ? `a step of kind ${step}` : "a model without a kind"}.`,
      );
    }
    const wanted = KINDS[kind].channels + (spreads ? 1 : 0);
    if (!foreign && channels !== wanted) {
      throw new Error(
        `${name} must have ${wanted} channels, as ${kindName(kind)} have. Received: ${channels}.`,
      );
    }
    Object.assign(model, { name, kind, channels, networks: networks.length, spreads });
    Object.assign(model, { foreign: foreign || spreads, injected: step === "Injected" });
    const crop = !model.foreign; // a rule may have no border
    Object.assign(model, { crop, fireRates, noiseDeviations });
    await model.build();
    return model;
  }

  /** Builds the graph on the backend in use, and tries a step. */
  async build() {
    this.graph?.dispose();
    try {
      this.graph = await loadGraphModel(io.fromMemory(this.artifacts));
      const after = await tidy(() => this.run(this.#blank(8))).data();
      if (after.length !== 64 * this.channels || !after.every(Number.isFinite)) {
        throw new Error("a step gives an invalid state");
      }
    } catch (error) {
      throw new Error(`${this.name} is damaged: ${firstLine(error)}`);
    }
  }

  get noisy() {
    return this.graph.inputs.some(({ name }) => name.startsWith("noise"));
  }

  run(inputs) {
    return this.graph.execute(inputs);
  }

  #blank(side) {
    const { channels } = this;
    const shape = [this.networks, 1, side, side];
    const inputs = {
      state: tensor(new Float32Array(side * side * channels).fill(0.5), [1, side, side, channels]),
      fire_mask: ones(shape),
    };
    if (this.injected) inputs.mask = zeros([1, side, side]);
    if (this.noisy) inputs.noise = zeros([...shape, channels - 1]);
    return inputs;
  }
}

/** Which kind a rule is: its cells grow by alpha, or all of them live. Throws if the page cannot show it. */
function kindOfRule(rule, channels, name) {
  const { alive, fixed, inputs, noise_std: noise } = rule ?? {};
  const grows = alive?.kind === "alpha" && alive.channel === ALPHA;
  const reasons = [
    [inputs, `each step needs ${inputs} inputs, which the page does not have`],
    [fixed, `its first ${fixed} channels must hold an image, which the page does not have`],
    [noise, "its updates have noise, which the page draws only for digits"],
    [alive && !grows, `cells live by channel ${alive?.channel}, and the page draws alpha from channel 3`],
    [!(Number.isInteger(channels) && channels > ALPHA && channels <= MOST_CHANNELS), `it has ${channels} channels; 4 to ${MOST_CHANNELS} can run`],
  ];
  const reason = reasons.find(([applies]) => applies)?.[1];
  if (reason) throw new Error(`${name} cannot run here: ${reason}. Received: a NeuralCA.`);
  return grows ? "growing" : "texture";
}

/**
 * A graph of this site names for each weight a `model.keras` file, the one that Python loads, and
 * the offset in it. So several graphs use one file, which is fetched once.
 */
async function fetchArtifacts(url) {
  const response = await fetchFile(url);
  const { weights, ...graph } = await response.clone().json();
  if (!weights) return io.http(url).load();
  const parts = await Promise.all(
    weights.map(async ({ file, offset, data, shape, dtype }) => {
      if (data !== undefined) return Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
      const size = shape.reduce((a, b) => a * b, 4);
      const part = (await fetchOnce(new URL(file, response.url).href)).subarray(offset, offset + size);
      if (part.length !== size) throw new Error(`${file} is too short for its weights`);
      return part;
    }),
  );
  const weightData = await new Blob(parts).arrayBuffer();
  return { ...graph, weightSpecs: weights, weightData };
}

const files = new Map();

function fetchOnce(url) {
  if (!files.has(url)) {
    const bytes = fetchFile(url).then(async (response) => new Uint8Array(await response.arrayBuffer()));
    files.set(url, bytes);
    bytes.catch(() => files.delete(url)); // it may be there next time
  }
  return files.get(url);
}

async function fetchFile(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  return response;
}

export const kindName = (kind) => KIND_NAMES[kind];

const firstLine = (error) => String(error?.message ?? error).split("\n")[0].slice(0, 200);
