/** A terminal in which a test runs the commands of a document: directory and variables last from one block to the next. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";

const COMMAND_MS = 300_000; // of two slow cores
const START_MS = 180_000;
const STOP_MS = 10_000;
const BLOCK = /^## ([^\n]+)$|^### ([^\n]+)$|^```sh\n(.*?)^```$/gms;

/** The blocks of shell commands of a document, as `{ heading, text }`, in order. */
export async function shellBlocks(path) {
  let heading = "";
  const blocks = [];
  for (const [, section, part, text] of (await readFile(path, "utf8")).matchAll(BLOCK)) {
    if (text === undefined) heading = section ?? part;
    else blocks.push({ heading, text });
  }
  return blocks;
}

export class Terminal {
  #services = [];

  constructor(directory, env) {
    this.directory = directory;
    this.env = env;
  }

  /** Runs commands until the last has ended; returns what they wrote. Fails with the first that fails. */
  async run(text, extra = {}) {
    const child = this.#bash(`${text}\npwd >&3; env -0 >&4`, extra, ["ignore", "pipe", "pipe", "pipe", "pipe"]);
    const [output, directory, env] = [1, 3, 4].map((number) => collect(child.stdio[number]));
    child.stderr.on("data", (data) => child.stdout.emit("data", data));
    const timer = setTimeout(() => child.kill("SIGKILL"), COMMAND_MS);
    const [code] = await once(child, "close");
    clearTimeout(timer);
    if (code !== 0) throw new Error(`exit code ${code}:\n${text}\n${output()}`);
    this.directory = directory().trim();
    const variables = Object.fromEntries(env().split("\0").filter(Boolean).map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]));
    for (const name of Object.keys(extra)) delete variables[name];
    this.env = variables;
    return output();
  }

  /** Runs a command that stays, the last line of the text, and waits until it answers at `url`. */
  async serve(text, url, extra = {}) {
    const lines = text.trim().split("\n");
    const setup = lines.slice(0, -1).join("\n");
    if (setup) await this.run(setup);
    const child = this.#bash(`exec ${lines.at(-1)}`, extra, ["ignore", "pipe", "pipe"]);
    const output = collect(child.stdout);
    child.stderr.on("data", (data) => child.stdout.emit("data", data));
    const service = { child, ended: once(child, "exit"), output };
    this.#services.push(service);
    const deadline = Date.now() + START_MS;
    while (!(await fetch(url).catch(() => null))?.ok) {
      if (child.exitCode !== null || Date.now() > deadline) throw new Error(`${lines.at(-1)} did not start:\n${output()}`);
      await new Promise((resolve) => setTimeout(resolve, 100)); // there is no event for an open port
    }
    return { output, stop: () => this.#end(service) };
  }

  /** Ends what still runs. */
  async close() {
    await Promise.all(this.#services.map((service) => this.#end(service)));
  }

  async #end({ child, ended }) {
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
    await ended;
    clearTimeout(timer);
  }

  #bash(text, extra, stdio) {
    return spawn("bash", ["-e", "-c", text], { cwd: this.directory, env: { ...this.env, ...extra }, stdio });
  }
}

/** Returns a function that returns what a stream has given so far. */
function collect(stream) {
  const chunks = [];
  stream.on("data", (data) => chunks.push(data));
  return () => Buffer.concat(chunks).toString();
}
