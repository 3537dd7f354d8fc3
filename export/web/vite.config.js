import { defineConfig } from "vite";

const out = new URL("../../out/", import.meta.url).pathname;

export default defineConfig({
  base: "./", // the folder can stand at any address
  publicDir: process.env.TFNCA_SITE_DATA ?? `${out}site_data`, // written by prepare.py
  build: {
    outDir: process.env.TFNCA_SITE ?? `${out}site`,
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0, // a WebAssembly file inlined as base64 would be a third larger
    chunkSizeWarningLimit: 1500,
  },
});
