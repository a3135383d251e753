/**
 * A build plugin: makes the entry chunk a classic script, so that `<script src="…/element.js">` works without
 * `type="module"` and from any origin.
 *
 * A chunk that is loaded on demand shares modules with the entry (Lit, the base classes) by importing the entry. For a
 * classic script that import would load and run the entry a second time. So the entry puts its exports into a property
 * of `globalThis`, and the chunks read them from there.
 *
 * The chunks lie beside the script. A classic script from another origin that is loaded without `crossorigin` has no base
 * URL of its own for its imports, so they are resolved here.
 */
const HOME = "chatkitScriptUrl";
const SHARED = 'globalThis[Symbol.for("chatkit-open-element")]';

/** `a as b, c` as [["a", "b"], ["c", "c"]] */
const bindings = (list) =>
  list
    .split(",")
    .map((binding) => binding.trim())
    .filter(Boolean)
    .map((binding) => binding.split(/\s+as\s+/))
    .map(([name, alias = name]) => [name, alias]);

export function classicEntry() {
  return {
    name: "classic-entry",
    generateBundle: {
      order: "post",
      handler(_options, bundle) {
        const chunks = Object.values(bundle).filter(({ type }) => type === "chunk");
        const entry = chunks.find(({ isEntry }) => isEntry);
        if (entry.imports.length) this.error(`The entry must be one file, but imports ${entry.imports.join(", ")}`);
        entry.code = asScript(entry.code);
        for (const chunk of chunks) if (chunk !== entry) chunk.code = withSharedEntry(chunk.code, entry.fileName);
      },
    },
  };
}

function asScript(code) {
  const body = code.replace(/export\s*\{([^{}]*)\}\s*;?\s*$/, (_match, list) => {
    const properties = bindings(list).map(([name, alias]) => `${JSON.stringify(alias)}:${name}`);
    return `${SHARED}={${properties.join(",")}};`;
  });
  if (/^\s*(import|export)[\s{*"']/m.test(body.slice(0, 200)) || /\bimport\.meta\b/.test(body)) throw new Error("The entry still has module syntax");
  const located = body.replace(/\bimport\(\s*(["'`])\.\/([^"'`$]+)\1\s*\)/g, (_match, _quote, path) => `import(new URL("${path}",${HOME}).href)`);
  return `(()=>{const ${HOME}=document.currentScript?.src||document.baseURI;${located}})();\n`;
}

function withSharedEntry(code, entryName) {
  const pattern = new RegExp(`import\\s*\\{([^{}]*)\\}\\s*from\\s*["'][./]*${entryName.replace(".", "\\.")}["'];?`, "g");
  const result = code.replace(pattern, (_match, list) => {
    const properties = bindings(list).map(([name, alias]) => `${JSON.stringify(name)}:${alias}`);
    return `const{${properties.join(",")}}=${SHARED};`;
  });
  if (new RegExp(`["'][./]*${entryName.replace(".", "\\.")}["']`).test(result)) throw new Error("A chunk still imports the entry");
  return result;
}
