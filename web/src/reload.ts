/** While somebody works on the page (`npm run watch`): shows a new build by itself. In no ordinary build. */

const PERIOD_MS = 2000;

/** Asks for the page every two seconds while it is in sight and reloads when it names other assets than at first. */
export function reloadOnNewBuild(): void {
  let first: string | undefined;
  setInterval(async () => {
    if (document.hidden) return;
    const served = await servedAssets();
    if (!served) return; // the server restarts, or the build is half done
    first ??= served;
    if (served !== first) location.reload();
  }, PERIOD_MS);
}

async function servedAssets(): Promise<string | undefined> {
  const page = await fetch("/", { cache: "no-store" }).catch(() => null);
  return page?.ok ? (await page.text()).match(/assets\/[\w.-]+/g)?.join() : undefined;
}
