/**
 * Builds web/dist/element.js, a classic script that defines `<openai-chatkit>`, and the chunks in web/dist/element/ that
 * it imports on demand. `CHATKIT_ELEMENT_MODULE=1` builds dist/ of the npm package instead: plain ES modules.
 */
import { defineConfig } from "rolldown";

import { classicEntry } from "./classic-entry.js";

const isPackage = Boolean(process.env.CHATKIT_ELEMENT_MODULE);

export default defineConfig({
  input: "src/element.ts",
  platform: "browser",
  transform: { target: "es2022", define: { "process.env.NODE_ENV": '"production"' } },
  preserveEntrySignatures: false,
  plugins: isPackage ? [] : [classicEntry()],
  output: {
    dir: isPackage ? "dist" : "../dist",
    format: "es",
    entryFileNames: "element.js",
    chunkFileNames: "element/[name]-[hash].js",
    minify: true,
  },
});
