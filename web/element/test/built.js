/** Builds a module of src/ for a test: Node 20 runs no TypeScript. The page's globals are the test's to provide. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { rolldown } from "rolldown";

import { lucideIcons } from "../lucide.js";

/** Returns the exports of `src/<path>`, for example `theme/color.ts`, built with all that it imports. */
export async function built(path) {
  const directory = await mkdtemp(join(tmpdir(), "chatkit-element-"));
  try {
    const bundle = await rolldown({ input: join(import.meta.dirname, "../src", path), platform: "browser", plugins: [lucideIcons()], logLevel: "silent" });
    const { output } = await bundle.write({ dir: directory, format: "es", entryFileNames: "[name].mjs", chunkFileNames: "[name]-[hash].mjs" });
    await bundle.close();
    return await import(pathToFileURL(join(directory, output[0].fileName)));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
