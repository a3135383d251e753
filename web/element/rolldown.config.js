/**
 * Builds the element. The page's build calls `elementBuild`: element.js, a classic script that defines
 * `<openai-chatkit>`, and the chunks in element/ that it imports on demand. `npm run build --workspace element` writes
 * dist/ of the npm package: plain ES modules.
 */
import { fileURLToPath } from "node:url";

import { classicEntry } from "./classic-entry.js";
import { licences } from "./licences.js";
import { lucideIcons } from "./lucide.js";
import { markedLexer } from "./marked-lexer.js";
import { minifyCss } from "./minify-css.js";

/** Rolldown's options for a build into `dir`. */
export function elementBuild(dir, plugins = []) {
  return {
    input: fileURLToPath(new URL("src/element.ts", import.meta.url)),
    platform: "browser",
    transform: { target: "es2022", define: { "process.env.NODE_ENV": '"production"' } },
    preserveEntrySignatures: false,
    plugins: [licences(), lucideIcons(), markedLexer(), minifyCss(), ...plugins],
    output: {
      dir,
      format: "es",
      entryFileNames: "element.js",
      chunkFileNames: "element/[name]-[hash].js",
      minify: true,
      // All of the first load in one file, also what chunks share with it.
      codeSplitting: { groups: [{ name: "element", tags: ["$initial"] }] },
    },
  };
}

/** As `elementBuild`, with a classic script as entry. */
export const scriptBuild = (dir) => elementBuild(dir, [classicEntry()]);

export default elementBuild(fileURLToPath(new URL("dist", import.meta.url)));
