// `npm run build` writes dist/, which the server serves at `/` and which goes into the wheel. `npm run watch` writes
// dist-dev/: its page reloads itself, so it must never be shipped. `npm run dev` proxies the API to a running server.
import { createReadStream, readdirSync } from "node:fs";
import { join, resolve } from "node:path";

import react from "@vitejs/plugin-react";
import { build } from "rolldown";
import { defineConfig } from "vite";

import { scriptBuild } from "./element/rolldown.config.js";

const server = process.env.CHATKIT_DEV_SERVER ?? "http://127.0.0.1:8000";
const ELEMENT_SOURCES = join(import.meta.dirname, "element/src");
/** The element imports it; pages copy it. */
const SESSION_SOURCE = join(import.meta.dirname, "src/session.ts");

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
      this.addWatchFile(SESSION_SOURCE);
    },
    async writeBundle() {
      await build({ ...scriptBuild(directory), logLevel: "warn" });
    },
  };
}

/** Serves the open element to `npm run dev`, and builds it again when its sources change. */
function openElementInDevelopment() {
  return {
    name: "open-element-in-development",
    apply: "serve",
    async configureServer({ config, middlewares, watcher, ws }) {
      const directory = resolve(config.cacheDir, "open-element");
      const rebuild = () => build({ ...scriptBuild(directory), logLevel: "warn" });
      await rebuild();
      watcher.add([ELEMENT_SOURCES, SESSION_SOURCE]).on("change", (file) => {
        if (!file.startsWith(ELEMENT_SOURCES) && file !== SESSION_SOURCE) return;
        rebuild().then(
          () => ws.send({ type: "full-reload" }),
          (error) => config.logger.error(error.message),
        );
      });
      middlewares.use((request, response, next) => {
        const { pathname } = new URL(request.url, "http://localhost");
        if (!/^\/element(\.js|\/[\w.-]+\.js)$/.test(pathname)) return next();
        const file = createReadStream(join(directory, pathname)).on("error", () => next());
        file.once("open", () => file.pipe(response.setHeader("content-type", "text/javascript")));
      });
    },
  };
}

export default defineConfig(({ mode }) => ({
  base: "./", // the server may be mounted below a prefix
  plugins: [react(), openElement(), openElementInDevelopment()],
  build: { outDir: mode === "watch" ? "dist-dev" : "dist", target: "es2022", sourcemap: false },
  server: {
    host: "127.0.0.1",
    proxy: { "/chatkit": server, "/api": { target: server, ws: true } },
  },
}));
