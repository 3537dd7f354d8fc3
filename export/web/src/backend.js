// Where TF.js computes: the fastest backend that works here, or the one the visitor picks.
// Each backend is a chunk of its own, so only the one in use is fetched.

import { env, getBackend, setBackend } from "@tensorflow/tfjs-core";
import wasm from "@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm.wasm?url";
import wasmSimd from "@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm?url";

export const BACKENDS = { webgpu: "WebGPU", webgl: "WebGL", wasm: "WASM", cpu: "CPU" };
const SOFTWARE = /swiftshader|llvmpipe|softpipe|software|basic render/i;

const LOADERS = {
  webgpu: () => import("@tensorflow/tfjs-backend-webgpu"),
  webgl: () => import("@tensorflow/tfjs-backend-webgl"),
  wasm: async () => {
    const { setWasmPaths } = await import("@tensorflow/tfjs-backend-wasm");
    // Threads need headers that a static host does not send: their file is named, not loaded.
    env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
    setWasmPaths({
      "tfjs-backend-wasm.wasm": wasm,
      "tfjs-backend-wasm-simd.wasm": wasmSimd,
      "tfjs-backend-wasm-threaded-simd.wasm": wasmSimd,
    });
  },
  cpu: () => import("@tensorflow/tfjs-backend-cpu"),
};
const loaded = {};

/** Why a backend is not the first choice here: { name: { missing } or { slow } }. */
export async function survey() {
  const found = { webgpu: await surveyWebgpu(), webgl: surveyWebgl(), wasm: {}, cpu: {} };
  if (typeof WebAssembly !== "object") found.wasm.missing = "not in this browser";
  return found;
}

async function surveyWebgpu() {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  if (!adapter) return { missing: "not in this browser" };
  const { vendor, architecture, description, isFallbackAdapter } = adapter.info ?? {};
  const software = SOFTWARE.test(`${vendor} ${architecture} ${description}`);
  // WASM outruns a GPU that is only imitated by ten times.
  return software || isFallbackAdapter || adapter.isFallbackAdapter ? { slow: "software" } : {};
}

function surveyWebgl() {
  const gl = document.createElement("canvas").getContext("webgl2");
  if (!gl) return { missing: "not in this browser" };
  const names = gl.getExtension("WEBGL_debug_renderer_info");
  const renderer = gl.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : gl.RENDERER);
  const floats = gl.getExtension("EXT_color_buffer_float");
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  // Half floats are too coarse: a lizard that is copied every step would wear away.
  if (!floats) return { missing: "no float textures" };
  return SOFTWARE.test(renderer) ? { slow: "software" } : {};
}

/** Starts the fastest backend that works here, or the wanted one. Returns its name. */
export const start = async (wanted) => startBackend(wanted, await survey());

/** Starts the wanted backend, or else the first that works. Returns its name. */
export async function startBackend(wanted, found) {
  const usable = Object.keys(BACKENDS).filter((name) => !found[name].missing);
  const order = [...usable.filter((name) => !found[name].slow), ...usable];
  for (const name of wanted ? [wanted, ...order] : order) {
    try {
      await (loaded[name] ??= LOADERS[name]());
      if (await setBackend(name)) return getBackend();
    } catch {
      delete loaded[name]; // the next one, then
    }
  }
  throw new Error("This browser runs none of WebGPU, WebGL, WebAssembly and plain JavaScript.");
}
