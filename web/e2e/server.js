/** The real server with the demo model, on a free port and a fresh database. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const START_MS = 30_000;
const STOP_MS = 10_000;
const DEFAULT_COMMAND = [resolve(import.meta.dirname, "../../.venv/bin/chatkit-server"), "serve"];

/**
 * Starts a server and waits until it is healthy; the caller stops it. CHATKIT_E2E_SERVER is another command, separated
 * by spaces, relative to web/; `--host` and `--port` are added to it.
 */
export async function startServer({ tokensPerSecond, env = {} }) {
  const [program, ...args] = process.env.CHATKIT_E2E_SERVER?.split(/\s+/).filter(Boolean) ?? DEFAULT_COMMAND;
  const directory = await mkdtemp(join(tmpdir(), "chatkit-e2e-"));
  const port = await freePort();
  const child = spawn(program.includes("/") ? resolve(program) : program, [...args, "--host", "127.0.0.1", "--port", String(port)], {
    cwd: directory, // not the developer's .env and database
    env: { ...environment(directory, tokensPerSecond), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
  const ended = once(child, "exit").catch((error) => [error.message]);

  const stop = async () => {
    child.kill("SIGTERM");
    if ((await within(STOP_MS, ended)) === undefined) child.kill("SIGKILL");
    await ended;
    await rm(directory, { recursive: true, force: true });
  };
  const origin = `http://127.0.0.1:${port}`;
  const outcome = await within(START_MS, Promise.race([healthy(origin), ended]));
  if (outcome === true) return { origin, port, stop, output: () => output };
  await stop();
  throw new Error(`The server did not start (${outcome ?? `not healthy after ${START_MS} ms`}):\n${output}`);
}

function environment(directory, tokensPerSecond) {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("CHATKIT_") && !name.startsWith("OPENAI_"));
  return {
    ...Object.fromEntries(inherited),
    CHATKIT_MODEL: "demo",
    CHATKIT_DEMO_TOKENS_PER_SECOND: String(tokensPerSecond),
    CHATKIT_DATABASE_URL: `sqlite:///${join(directory, "e2e.db")}`,
    CHATKIT_DATA_DIR: directory,
    CHATKIT_ALLOWED_HOSTS: "insecure.example", // see browser.js
  };
}

async function healthy(origin) {
  const deadline = Date.now() + START_MS;
  while (Date.now() < deadline) {
    const response = await fetch(`${origin}/healthz`).catch(() => null);
    if (response?.ok) return true;
    await new Promise((resolve) => setTimeout(resolve, 100)); // there is no event for an open port
  }
}

async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  await once(probe, "close");
  return port;
}

/** Returns the promise's value, or undefined after a timeout. */
function within(milliseconds, promise) {
  let timer;
  const timeout = new Promise((resolve) => (timer = setTimeout(resolve, milliseconds)));
  return Promise.race([promise, timeout]).finally(() => clearTimeout(timer));
}
