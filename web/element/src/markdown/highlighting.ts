/** Colours blocks of code when the page has nothing else to do. The colouring itself is loaded with the first block. */

/** Longer ones stay plain: colouring must not hold up the page. */
const MAX_LENGTH = 20_000;

const waiting = new Set<HTMLElement>();
let isScheduled = false;

/** Colours the blocks of code in a node that will not change any more. */
export function highlightSoon(node: Node): void {
  if (!(node instanceof HTMLElement)) return;
  const blocks = node.matches(".code") ? [node] : node.querySelectorAll<HTMLElement>(".code");
  for (const block of blocks) if (block.dataset.language) waiting.add(block);
  if (waiting.size && !isScheduled) schedule();
}

function schedule(): void {
  isScheduled = true;
  const run = () => void highlightNext();
  if ("requestIdleCallback" in window) requestIdleCallback(run, { timeout: 2_000 });
  else setTimeout(run, 100);
}

async function highlightNext(): Promise<void> {
  const [block] = waiting;
  if (block) {
    waiting.delete(block);
    if (block.isConnected && (block.querySelector("code")?.textContent?.length ?? 0) <= MAX_LENGTH) {
      // Without the chunk, for example offline, the code stays plain.
      await import("./highlight").then(({ highlight }) => highlight(block)).catch(() => {});
    }
  }
  isScheduled = false;
  if (waiting.size) schedule();
}
