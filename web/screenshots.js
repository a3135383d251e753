/**
 * Makes the pictures of the README in docs/images/: `npm run screenshots` in web/, after `make setup`. The page shows the
 * open element, and the demo model answers.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import { launchBrowser } from "./e2e/browser.js";
import { open } from "./e2e/elements/open.js";
import { startServer } from "./e2e/server.js";

const IMAGES = join(import.meta.dirname, "../docs/images");
const DESKTOP = { viewport: { width: 1200, height: 750 } };
const PHONE = { viewport: { width: 360, height: 640 }, deviceScaleFactor: 2 };

const PICTURES = {
  start: {
    options: DESKTOP,
    take: async () => {},
  },
  markdown: {
    options: DESKTOP,
    take: async (page) => {
      await send(page, "Show me markdown");
      await page.locator(".figures", { hasText: "tokens/s" }).waitFor();
      await open.answers(page).getByText("Banana").waitFor();
    },
  },
  "form-dark": {
    options: { ...DESKTOP, colorScheme: "dark" },
    take: async (page) => {
      await send(page, "I want to set my preferences.");
      await open.widgets(page).getByRole("button").first().waitFor();
      await ended(page);
    },
  },
  phone: {
    options: { ...PHONE, colorScheme: "dark" },
    take: async (page) => {
      await send(page, "What time is it in Europe/Paris?");
      await open.answers(page).first().waitFor();
      await ended(page);
    },
  },
};

async function send(page, text) {
  await open.composer(page).fill(text);
  await open.send(page).click();
}

/** Waits until the answer is complete and the last movements are over. */
async function ended(page) {
  await page.locator(".activity", { hasText: "Ready" }).waitFor();
  await page.evaluate(() => Promise.all(document.getAnimations().map(({ finished }) => finished.catch(() => {}))));
}

await mkdir(IMAGES, { recursive: true });
const [browser, server] = await Promise.all([launchBrowser(), startServer({ tokensPerSecond: 60, env: { ...open.settings } })]);
try {
  for (const [name, { options, take }] of Object.entries(PICTURES)) {
    const context = await browser.newContext({ locale: "en-US", reducedMotion: "reduce", ...options });
    const page = await context.newPage();
    await page.goto(server.origin);
    await page.locator(".activity", { hasText: "Ready" }).waitFor();
    await take(page);
    await page.screenshot({ path: join(IMAGES, `${name}.png`) });
    await context.close();
  }
} finally {
  await browser.close();
  await server.stop();
}
