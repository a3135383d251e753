/** Loads parts of the element that not every chat needs. */

/** A part that cannot be loaded, as the server is away, is missing until the page is reloaded; all else works. */
export function lazy(load: () => Promise<unknown>): void {
  load().catch((error: unknown) => console.warn("ChatKit: a part could not be loaded", error));
}
