import { defineConfig } from "vite";

const file = (name) => new URL(name, import.meta.url).pathname;

// build.py says where from and where to.
export default defineConfig({
  base: "./", // the folder can be at any address
  publicDir: process.env.TFNCA_SITE_DATA,
  build: {
    outDir: process.env.TFNCA_SITE,
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0, // a WebAssembly file inlined as base64 would be a third larger
    chunkSizeWarningLimit: 1500,
    rollupOptions: {
      input: { index: file("index.html"), tfnca: file("src/module.js") },
      preserveEntrySignatures: "allow-extension", // tfnca.js is imported by other pages
      output: {
        entryFileNames: ({ name }) => (name === "tfnca" ? "tfnca.js" : "assets/[name]-[hash].js"),
      },
    },
  },
});
