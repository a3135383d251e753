// `npm run build` writes dist/, which the server serves at `/` and which goes into the wheel. `npm run watch` writes
// dist-dev/: its page reloads itself, so it must never be shipped. `npm run dev` proxies the API to a running server.
import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";

import react from "@vitejs/plugin-react";
import { build } from "rolldown";
import { defineConfig } from "vite";

import { scriptBuild } from "./element/rolldown.config.js";

const server = process.env.CHATKIT_DEV_SERVER ?? "http://127.0.0.1:8000";
const ELEMENT_SOURCES = join(import.meta.dirname, "element/src");

/** Adds the open element to each build of the page, also while watching. */
function openElement() {
  let directory;
  return {
    name: "open-element",
    apply: "build",
    configResolved({ root, build: { outDir } }) {
      directory = resolve(root, outDir);
    },
    buildStart() {
      for (const file of readdirSync(ELEMENT_SOURCES, { recursive: true })) if (/\.\w+$/.test(file)) this.addWatchFile(join(ELEMENT_SOURCES, file));
    },
    async writeBundle() {
      await build({ ...scriptBuild(directory), logLevel: "warn" });
    },
  };
}

export default defineConfig(({ mode }) => ({
  plugins: [react(), openElement()],
  build: { outDir: mode === "watch" ? "dist-dev" : "dist", target: "es2022", sourcemap: false },
  server: {
    host: "127.0.0.1",
    proxy: { "/chatkit": server, "/api": { target: server, ws: true } },
  },
}));
