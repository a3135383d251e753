/** The development build, which reloads itself, and the shipped build are in different folders. */
import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { build, resolveConfig } from "vite";

const WEB = join(import.meta.dirname, "..");
const RELOADS = "location.reload("; // src/reload.ts

/** Returns the built files that contain `text`. */
async function filesWith(text, folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  const texts = await Promise.all(files.map((file) => readFile(file, "utf8")));
  return files.filter((_, index) => texts[index].includes(text));
}

test("the build of `make dev` reloads itself, and the shipped one does not", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "chatkit-e2e-build-")); // `make dev` may be running
  t.after(() => rm(folder, { recursive: true }));
  await build({ root: WEB, mode: "watch", logLevel: "silent", build: { outDir: folder } });
  assert.equal((await filesWith(RELOADS, folder)).length, 1);
  assert.deepEqual(await filesWith(RELOADS, join(WEB, "dist")), []);
});

test("`make dev` serves its own build folder, `make wheel` packs the other, and git ignores both", async () => {
  const read = (path) => readFile(join(WEB, "..", path), "utf8");
  const [watched, shipped] = await Promise.all(["watch", "production"].map((mode) => resolveConfig({ root: WEB }, "build", mode)));
  assert.notEqual(watched.build.outDir, shipped.build.outDir);
  const [script, hook, ignored] = await Promise.all([read("scripts/dev.sh"), read("hatch_build.py"), read(".gitignore")]);
  assert.match(script, new RegExp(`--mode watch[^]*CHATKIT_PAGE_DIR=web/${watched.build.outDir} `));
  assert.match(hook, new RegExp(`"web" / "${shipped.build.outDir}"`));
  for (const { build } of [watched, shipped]) assert.ok(ignored.split("\n").includes(`web/${build.outDir}/`));
});
