import { writeFileSync } from "node:fs";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

// The folder stays in the tree, empty, so that cargo can watch it for a build to embed.
const keepFolder = {
  name: "keep-folder",
  closeBundle: () => writeFileSync("dist/.gitignore", "*\n!.gitignore\n"),
};

// For `npm run dev`: a controller to ask, as `make up` starts one.
const controller = process.env.OMNI_CONTROLLER ?? "https://127.0.0.1:7601";

export default defineConfig({
  plugins: [svelte(), keepFolder],
  build: {
    target: "es2023",
    // All of it is served by the controller, so nothing is worth a request of its own less than a small icon.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: { proxy: { "/api": { target: controller, secure: false, ws: true } } },
  test: { include: ["src/**/*.test.ts"] },
});
