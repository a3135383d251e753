/**
 * Keeps the open thread in the page's URL (`?thread=thr_...`), so that a reload shows it again.
 *
 * The widget fires `thread.change {null}` both when the user starts a new thread and when loading a thread failed. Only
 * the former removes the thread from the URL, so this class needs the outcome of each load (see api.ts).
 */

const PARAMETER = "thread";

export class SavedThread {
  /** The thread in the URL is not loaded yet, or loading it failed. */
  private pending = this.id !== null;

  /** The thread in the URL. */
  get id(): string | null {
    return new URL(location.href).searchParams.get(PARAMETER) || null;
  }

  /** Call when the widget shows another thread, or none. */
  changed(threadId: string | null): void {
    if (threadId === null && this.pending) return;
    this.pending = false;
    this.write(threadId);
  }

  /** Call when a thread was loaded: the next change to none comes from the user. */
  loaded(): void {
    this.pending = false;
  }

  /** Call when loading a thread failed; `gone` if the server says that it does not exist. */
  loadFailed(threadId: string, gone: boolean): void {
    if (threadId !== this.id) return;
    this.pending = !gone;
    if (gone) this.write(null);
  }

  private write(threadId: string | null): void {
    if (threadId === this.id) return;
    const url = new URL(location.href);
    if (threadId) url.searchParams.set(PARAMETER, threadId);
    else url.searchParams.delete(PARAMETER);
    history.replaceState(history.state, "", url);
  }
}
