// Runs exported graph models in TensorFlow.js on WASM, for test_tfjs.py.
//
//   node run_tfjs.mjs NODE_MODULES JOBS.json
//
// A job is {model, steps, input, state, given: {name: array}, draws: {name: array}, out}; an array is
// {file, shape}, and draws have an axis of steps in front. `model` is a folder with a model.json,
// or a script that sets window.GRAPH_URL, as the article's page has.

import {readFileSync, writeFileSync} from 'node:fs';
import {createServer} from 'node:http';
import {createRequire} from 'node:module';
import {join, resolve} from 'node:path';

const [modules, jobs] = process.argv.slice(2);
const require = createRequire(resolve(modules, 'index.js'));
const tf = require('@tensorflow/tfjs-core');
const {loadGraphModel} = require('@tensorflow/tfjs-converter');
require('@tensorflow/tfjs-backend-wasm');
await tf.setBackend('wasm');

function read({file, shape}) {
  const bytes = readFileSync(file);
  return tf.tensor(new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4), shape);
}

// As a page does: plain loadGraphModel from a server.
async function loadFolder(folder) {
  const server = createServer(({url}, response) => response.end(readFileSync(join(folder, url))));
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  const model = await loadGraphModel(`http://127.0.0.1:${server.address().port}/model.json`);
  server.closeAllConnections();
  server.close();
  return model;
}

// What the article's page does: its graphs hold their weights, where TF.js expects them apart.
async function loadDemo(script) {
  const window = {};
  new Function('window', readFileSync(script, 'utf8'))(window);
  const types = {DT_FLOAT: ['float32', 'floatVal', Float32Array],
                 DT_INT32: ['int32', 'intVal', Int32Array]};
  const graph = await (await fetch(window.GRAPH_URL)).json();
  const model = await loadGraphModel(window.GRAPH_URL);
  for (const {name, attr} of graph.modelTopology.node.filter(({op}) => op === 'Const')) {
    const tensor = attr.value.tensor;
    const [dtype, field, type] = types[tensor.dtype];
    const shape = (tensor.tensorShape.dim ?? []).map(({size}) => parseInt(size));
    const values = tensor.tensorContent
      ? new type(Uint8Array.from(Buffer.from(tensor.tensorContent, 'base64')).buffer)
      : new type(shape.reduce((a, b) => a * b, 1)).fill(tensor[field][0]);
    model.weights[name] = [tf.tensor(values, shape, dtype)];
  }
  return model;
}

for (const job of JSON.parse(readFileSync(jobs))) {
  const model = await (job.model.endsWith('.js') ? loadDemo : loadFolder)(job.model);
  const given = Object.entries(job.given).map(([name, array]) => [name, read(array)]);
  const draws = Object.entries(job.draws).map(([name, array]) => [name, tf.unstack(read(array))]);
  let state = read(job.state);
  for (let step = 0; step < job.steps; step++) {
    const drawn = draws.map(([name, all]) => [name, all[step]]);
    state = model.execute({[job.input]: state, ...Object.fromEntries([...given, ...drawn])});
  }
  writeFileSync(job.out, new Uint8Array((await state.data()).buffer));
}
