/** Reloads the page after a new build during development (`npm run watch`). Not part of an ordinary build. */

const PERIOD_MS = 2000;

/** Fetches the page every two seconds while it is visible, and reloads when its assets have changed. */
export function reloadOnNewBuild(): void {
  let first: string | undefined;
  setInterval(async () => {
    if (document.hidden) return;
    const assets = await servedAssets();
    if (!assets) return; // the server restarts, or the build is unfinished
    first ??= assets;
    if (assets !== first) location.reload();
  }, PERIOD_MS);
}

async function servedAssets(): Promise<string | undefined> {
  const page = await fetch(document.baseURI, { cache: "no-store" }).catch(() => null);
  return page?.ok ? (await page.text()).match(/assets\/[\w.-]+/g)?.join() : undefined;
}
