/** Colours code with highlight.js, whose languages are loaded as they are met. Loaded with the first block of code. */
import hljs from "highlight.js/lib/core";
import type { LanguageFn } from "highlight.js";

import { whenIdle } from "../lazy";

type Load = () => Promise<{ default: LanguageFn }>;

const LANGUAGES: Record<string, Load> = {
  bash: () => import("highlight.js/lib/languages/bash"),
  c: () => import("highlight.js/lib/languages/c"),
  cpp: () => import("highlight.js/lib/languages/cpp"),
  csharp: () => import("highlight.js/lib/languages/csharp"),
  css: () => import("highlight.js/lib/languages/css"),
  dart: () => import("highlight.js/lib/languages/dart"),
  diff: () => import("highlight.js/lib/languages/diff"),
  dockerfile: () => import("highlight.js/lib/languages/dockerfile"),
  elixir: () => import("highlight.js/lib/languages/elixir"),
  go: () => import("highlight.js/lib/languages/go"),
  graphql: () => import("highlight.js/lib/languages/graphql"),
  haskell: () => import("highlight.js/lib/languages/haskell"),
  http: () => import("highlight.js/lib/languages/http"),
  ini: () => import("highlight.js/lib/languages/ini"),
  java: () => import("highlight.js/lib/languages/java"),
  javascript: () => import("highlight.js/lib/languages/javascript"),
  json: () => import("highlight.js/lib/languages/json"),
  julia: () => import("highlight.js/lib/languages/julia"),
  kotlin: () => import("highlight.js/lib/languages/kotlin"),
  latex: () => import("highlight.js/lib/languages/latex"),
  lua: () => import("highlight.js/lib/languages/lua"),
  makefile: () => import("highlight.js/lib/languages/makefile"),
  markdown: () => import("highlight.js/lib/languages/markdown"),
  nginx: () => import("highlight.js/lib/languages/nginx"),
  objectivec: () => import("highlight.js/lib/languages/objectivec"),
  perl: () => import("highlight.js/lib/languages/perl"),
  php: () => import("highlight.js/lib/languages/php"),
  powershell: () => import("highlight.js/lib/languages/powershell"),
  python: () => import("highlight.js/lib/languages/python"),
  r: () => import("highlight.js/lib/languages/r"),
  ruby: () => import("highlight.js/lib/languages/ruby"),
  rust: () => import("highlight.js/lib/languages/rust"),
  scala: () => import("highlight.js/lib/languages/scala"),
  scss: () => import("highlight.js/lib/languages/scss"),
  sql: () => import("highlight.js/lib/languages/sql"),
  swift: () => import("highlight.js/lib/languages/swift"),
  typescript: () => import("highlight.js/lib/languages/typescript"),
  xml: () => import("highlight.js/lib/languages/xml"),
  yaml: () => import("highlight.js/lib/languages/yaml"),
};

const ALIASES: Record<string, string> = {
  sh: "bash", shell: "bash", zsh: "bash", console: "bash", h: "c", "c++": "cpp", cc: "cpp", hpp: "cpp", cs: "csharp", "c#": "csharp",
  docker: "dockerfile", ex: "elixir", golang: "go", gql: "graphql", hs: "haskell", toml: "ini", properties: "ini", js: "javascript", jsx: "javascript",
  mjs: "javascript", cjs: "javascript", jsonc: "json", json5: "json", jl: "julia", kt: "kotlin", tex: "latex", make: "makefile", md: "markdown",
  objc: "objectivec", pl: "perl", ps1: "powershell", pwsh: "powershell", py: "python", python3: "python", rb: "ruby", rs: "rust", sass: "scss",
  postgresql: "sql", mysql: "sql", sqlite: "sql", ts: "typescript", tsx: "typescript", html: "xml", svg: "xml", xhtml: "xml", vue: "xml", yml: "yaml",
};

/** Pieces of code with the innermost scope they are in, for example "string" or "title function_". */
class Segments {
  readonly list: { text: string; scope: string }[] = [];
  private readonly scopes: string[] = [];

  addText(text: string): void {
    if (text) this.list.push({ text, scope: this.scopes.at(-1) ?? "" });
  }

  startScope(scope: string): void {
    this.scopes.push(scope);
  }

  endScope(): void {
    this.scopes.pop();
  }

  openNode(scope: string): void {
    this.startScope(scope);
  }

  closeNode(): void {
    this.endScope();
  }

  __addSublanguage(emitter: Segments): void {
    for (const segment of emitter.list) this.list.push({ text: segment.text, scope: segment.scope || (this.scopes.at(-1) ?? "") });
  }

  finalize(): boolean {
    return true;
  }

  toHTML(): string {
    return ""; // no HTML strings here
  }
}

hljs.configure({ __emitter: Segments as unknown as NonNullable<Parameters<typeof hljs.configure>[0]["__emitter"]> });

/** Longer ones stay plain: colouring must not hold up the page. */
const MAX_LENGTH = 20_000;

const waiting = new Set<HTMLElement>();
let isRunning = false;

/** Colours these blocks when the page has nothing else to do. */
export async function highlightSoon(blocks: readonly HTMLElement[]): Promise<void> {
  for (const block of blocks) waiting.add(block);
  if (isRunning) return;
  isRunning = true;
  for (const block of waiting) {
    await new Promise<void>((resolve) => whenIdle(resolve));
    waiting.delete(block);
    if (block.isConnected) await highlight(block).catch(() => {}); // a language that could not be loaded
  }
  isRunning = false;
}

/** Unknown languages stay as they are. */
async function highlight(block: HTMLElement): Promise<void> {
  const name = block.dataset.language!.toLowerCase();
  const language = Object.hasOwn(LANGUAGES, name) ? name : Object.hasOwn(ALIASES, name) ? ALIASES[name]! : "";
  const load = Object.hasOwn(LANGUAGES, language) ? LANGUAGES[language] : undefined;
  if (!load) return;
  if (!hljs.getLanguage(language)) hljs.registerLanguage(language, (await load()).default);
  const code = block.querySelector("code")!;
  const text = code.textContent ?? "";
  if (text.length > MAX_LENGTH) return;
  const result = hljs.highlight(text, { language, ignoreIllegals: true }) as unknown as { _emitter: Segments };
  colour([...code.children], result._emitter.list);
}

/** The chunks of a block keep their text; segments are split where a chunk ends. */
function colour(chunks: readonly Element[], segments: Segments["list"]): void {
  let index = 0;
  let used = 0;
  for (const chunk of chunks) {
    let missing = chunk.textContent?.length ?? 0;
    const nodes: Node[] = [];
    while (missing > 0 && index < segments.length) {
      const { text, scope } = segments[index]!;
      const part = text.slice(used, used + missing);
      nodes.push(scope ? coloured(part, scope) : document.createTextNode(part));
      missing -= part.length;
      used += part.length;
      if (used === text.length) {
        index++;
        used = 0;
      }
    }
    chunk.replaceChildren(...nodes);
  }
}

function coloured(text: string, scope: string): HTMLElement {
  const node = document.createElement("span");
  node.className = scope.split(".").map((part) => `hl-${part}`).join(" ");
  node.textContent = text;
  return node;
}
