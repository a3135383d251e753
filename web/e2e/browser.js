/**
 * Launches the Chromium of the npm package @sparticuz/chromium, which brings its own libraries: the tests need neither
 * an installed browser nor root. CHATKIT_E2E_CHROMIUM names another executable (required except on Linux x86-64).
 */
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, realpath, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";

import { chromium } from "playwright-core";

const { version } = createRequire(import.meta.url)("../node_modules/@sparticuz/chromium/package.json");
const CACHE = join(import.meta.dirname, "../node_modules/.cache/e2e");
const UNPACKED = join(CACHE, `chromium-${version}`);

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--use-fake-device-for-media-stream", // a microphone that beeps
  "--use-fake-ui-for-media-stream",
  "--host-resolver-rules=MAP insecure.example 127.0.0.1", // a host other than localhost, for the test of the secure context
];

/** Returns a running browser; the caller closes it. */
export async function launchBrowser() {
  const executablePath = process.env.CHATKIT_E2E_CHROMIUM;
  if (executablePath) return chromium.launch({ executablePath, args: FLAGS });
  await unpack();
  const env = { ...process.env, LD_LIBRARY_PATH: join(UNPACKED, "al2023/lib"), FONTCONFIG_FILE: await configureFonts() };
  return chromium.launch({ executablePath: join(UNPACKED, "chromium"), args: FLAGS, env, timeout: 60_000 });
}

/** Unpacks once per version, into a temporary directory that is renamed when it is complete. */
async function unpack() {
  if (existsSync(UNPACKED)) return;
  await mkdir(CACHE, { recursive: true });
  const staging = await mkdtemp(join(CACHE, "unpacking-"));
  await unpackInto(staging);
  await rename(staging, UNPACKED).catch((error) => {
    if (!existsSync(UNPACKED)) throw error; // another test file has unpacked it meanwhile
    return rm(staging, { recursive: true });
  });
}

/** The package's own fonts.conf looks in fixed directories. Written at each start: the directory may have been moved. */
async function configureFonts() {
  const directory = await realpath(UNPACKED);
  const path = join(directory, "fonts.conf");
  await writeFile(path, `<fontconfig><dir>${directory}/fonts</dir><cachedir>${directory}/fonts-cache</cachedir></fontconfig>`);
  return path;
}

/** The package unpacks below TMPDIR, and unpacks its libraries only if it detects Amazon Linux. */
async function unpackInto(directory) {
  const before = { TMPDIR: process.env.TMPDIR, AWS_EXECUTION_ENV: process.env.AWS_EXECUTION_ENV };
  const changed = ["LD_LIBRARY_PATH", "FONTCONFIG_PATH"].map((name) => [name, process.env[name]]);
  Object.assign(process.env, { TMPDIR: directory, AWS_EXECUTION_ENV: "AWS_Lambda_nodejs20.x" });
  try {
    const { default: packed } = await import("@sparticuz/chromium");
    await packed.executablePath();
  } finally {
    for (const [name, value] of [...Object.entries(before), ...changed]) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}
