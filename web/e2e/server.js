/** The real server with the demo model, on a free port and with a fresh database. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import { promisify } from "node:util";

const START_MS = 180_000; // of two slow cores with other work
const STOP_MS = 10_000;
const DATABASE = "e2e.db";
const AGENTS = join(import.meta.dirname, "agents");
const DEFAULT_COMMAND = [resolve(import.meta.dirname, "../../.venv/bin/chatkit-server"), "serve"];

/**
 * Starts a server and waits until it is healthy; the caller stops it. `env` may name an agent of e2e/agents or examples;
 * CHATKIT_E2E_APP in it is an ASGI app of e2e/agents. CHATKIT_E2E_SERVER in the tests' environment is another command,
 * separated by spaces, relative to web/; `--host` and `--port` are added to it.
 */
export async function startServer({ tokensPerSecond, env: { CHATKIT_E2E_APP: app, ...env } = {} }) {
  const directory = await mkdtemp(join(tmpdir(), "chatkit-e2e-"));
  const port = await freePort();
  const settings = { ...environment(directory, tokensPerSecond), ...env, PYTHONPATH: await pythonPath(directory) };
  const origin = `http://127.0.0.1:${port}`;
  let output = "";
  let child;
  let ended;

  /** Starts the process; after `kill`, again with the same port and database. */
  const start = async () => {
    child = launch(app, port, directory, settings);
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
    ended = once(child, "exit").catch((error) => [error.message]);
    const outcome = await within(START_MS, Promise.race([healthy(origin), ended]));
    if (outcome === true) return;
    await stop();
    throw new Error(`The server did not start (${outcome ?? `not healthy after ${START_MS} ms`}):\n${output}`);
  };
  const kill = async () => {
    child.kill("SIGKILL");
    await ended;
  };
  const stop = async () => {
    child.kill("SIGTERM");
    if ((await within(STOP_MS, ended)) === undefined) child.kill("SIGKILL");
    await ended;
    await rm(directory, { recursive: true, force: true });
  };
  /** Returns the rows that a query of the database gives, as objects. */
  const sql = async (query, ...values) => {
    const { stdout } = await promisify(execFile)("python3", ["-c", QUERY, join(directory, DATABASE), query, JSON.stringify(values)]);
    return JSON.parse(stdout);
  };

  await start();
  return { origin, port, start, kill, stop, sql, output: () => output };
}

/** Node 20 cannot read SQLite; Python can. */
const QUERY = `
import json, sqlite3, sys
path, query, values = sys.argv[1:]
connection = sqlite3.connect(path, timeout=10)
connection.row_factory = sqlite3.Row
print(json.dumps([dict(row) for row in connection.execute(query, json.loads(values))]))
`;

function launch(app, port, directory, env) {
  const command = process.env.CHATKIT_E2E_SERVER?.split(/\s+/).filter(Boolean) ?? DEFAULT_COMMAND;
  const [program, ...args] = app ? [join(dirname(command[0]), "python"), "-m", "uvicorn", app] : command;
  return spawn(program.includes("/") ? resolve(program) : program, [...args, "--host", "127.0.0.1", "--port", String(port)], {
    cwd: directory, // not the developer's .env and database
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
}

function environment(directory, tokensPerSecond) {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("CHATKIT_") && !name.startsWith("OPENAI_"));
  return {
    ...Object.fromEntries(inherited),
    CHATKIT_MODEL: "demo",
    CHATKIT_DEMO_TOKENS_PER_SECOND: String(tokensPerSecond),
    CHATKIT_DATABASE_URL: `sqlite:///${join(directory, DATABASE)}`,
    CHATKIT_DATA_DIR: directory,
    CHATKIT_ALLOWED_HOSTS: "insecure.example", // see browser.js
  };
}

/** Makes the agents of e2e/agents and the package `examples` importable, and nothing else of the checkout. */
async function pythonPath(directory) {
  const folder = join(directory, "python");
  await mkdir(folder);
  await symlink(resolve(import.meta.dirname, "../../examples"), join(folder, "examples"));
  return [AGENTS, folder, process.env.PYTHONPATH].filter(Boolean).join(delimiter);
}

async function healthy(origin) {
  const deadline = Date.now() + START_MS;
  while (Date.now() < deadline) {
    const response = await fetch(`${origin}/healthz`).catch(() => null);
    if (response?.ok) return true;
    await new Promise((resolve) => setTimeout(resolve, 100)); // there is no event for an open port
  }
}

export async function freePort() {
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
