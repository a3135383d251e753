/** A build plugin: writes the licences of the libraries in the build to element-licences.txt, as they demand. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const PACKAGE = /^(.*[/\\]node_modules[/\\]((?:@[^/\\]+[/\\])?[^/\\]+))[/\\]/;
const LICENCE = /^licen[cs]e(\.\w+)?$/i;
/** Only its outlines are in the build, see lucide.js. */
const LUCIDE = fileURLToPath(import.meta.resolve("lucide"));

export function licences() {
  return {
    name: "licences",
    async generateBundle(_options, bundle) {
      const modules = Object.values(bundle).flatMap((chunk) => (chunk.type === "chunk" ? chunk.moduleIds : []));
      const packages = new Map();
      for (const module of [...modules, LUCIDE]) {
        const [, directory, name] = PACKAGE.exec(module) ?? [];
        if (name) packages.set(name.replaceAll("\\", "/"), directory);
      }
      const texts = [...packages].sort().map(async ([name, directory]) => `${name}\n\n${await licenceIn(directory)}`);
      this.emitFile({ type: "asset", fileName: "element-licences.txt", source: (await Promise.all(texts)).join("\n\n---\n\n") });
    },
  };
}

async function licenceIn(directory) {
  const name = (await readdir(directory)).find((file) => LICENCE.test(file));
  if (!name) throw new Error(`${directory} has no licence`);
  return (await readFile(join(directory, name), "utf8")).trim();
}
