// Graph models: read from the site or from a visitor's files, checked before they are used.

import { io, ones, tensor, tidy, zeros } from "@tensorflow/tfjs-core";
import { loadGraphModel } from "@tensorflow/tfjs-converter";
import { KINDS } from "./ca.js";

const HOSTS = { GrowingCA: "growing", MNISTCA: "mnist" };
const KIND_NAMES = { growing: "growing CAs", mnist: "digits" };

export class Model {
  /** A model at an address: a graph of this site, or a model.json of TensorFlow.js. */
  static async fetch(url) {
    return Model.#from({ load: () => fetchArtifacts(url) }, url);
  }

  /** A model that a visitor hands in: its model.json and .bin files. */
  static async read(files) {
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
    const { kind: step, networks, channels, fire_rate: fireRates, noise_std: noiseDeviations } =
      model.artifacts.userDefinedMetadata ?? {};
    const kind = HOSTS[networks?.[0]];
    if (!kind || !(step === "Injected" || step in HOSTS)) {
      throw new Error(
        `${name} cannot run here: the page runs GrowingCA, MNISTCA and injections of them. ` +
          `Received: ${step ? `a step of kind ${step}` : "a model without a kind"}.`,
      );
    }
    if (channels !== KINDS[kind].channels) {
      throw new Error(
        `${name} must have ${KINDS[kind].channels} channels, as ${kindName(kind)} have. Received: ${channels}.`,
      );
    }
    Object.assign(model, { name, kind, networks: networks.length, fireRates, noiseDeviations });
    await model.build();
    return model;
  }

  /** Builds the graph on the backend in use, and tries a step. */
  async build() {
    this.graph?.dispose();
    try {
      this.graph = await loadGraphModel(io.fromMemory(this.artifacts));
      const after = await tidy(() => this.run(this.#blank(8))).data();
      if (after.length !== 64 * KINDS[this.kind].channels || !after.every(Number.isFinite)) {
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
    const { channels } = KINDS[this.kind];
    const shape = [this.networks, 1, side, side];
    const inputs = {
      state: tensor(new Float32Array(side * side * channels).fill(0.5), [1, side, side, channels]),
      fire_mask: ones(shape),
    };
    if (this.networks === 2) inputs.mask = zeros([1, side, side]);
    if (this.noisy) inputs.noise = zeros([...shape, channels - 1]);
    return inputs;
  }
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
