import { defineConfig } from "vite";

// The built page is part of the Python package, so that installing it needs no Node.
export default defineConfig({
  base: "./",
  build: {
    outDir: "../src/derain/serve/page",
    emptyOutDir: true,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      output: {
        entryFileNames: "page.js",
        chunkFileNames: "[name].js",
        assetFileNames: "[name][extname]",
      },
    },
  },
  worker: {
    format: "es",
    rolldownOptions: { output: { entryFileNames: "[name].js" } },
  },
  server: { proxy: { "/v1": "http://127.0.0.1:8000" } },
});
