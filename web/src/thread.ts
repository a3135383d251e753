/**
 * The open thread, kept in the page's address (`?thread=thr_...`) so that a reload shows it again.
 *
 * The widget fires `thread.change {null}` both when the user starts a new thread and when loading one failed. Only the
 * first may forget the thread, so this class has to be told what became of each load (see api.ts).
 */

const PARAMETER = "thread";

export class SavedThread {
  /** Whether the thread in the address is one that the widget should show but does not: not loaded yet, or in vain. */
  private pending = this.id !== null;

  /** The thread in the address. */
  get id(): string | null {
    return new URL(location.href).searchParams.get(PARAMETER) || null;
  }

  /** The widget shows another thread, or none. */
  changed(threadId: string | null): void {
    if (threadId === null && this.pending) return;
    this.pending = false;
    this.write(threadId);
  }

  /** A thread arrived, so the next change to none is the user's. */
  loaded(): void {
    this.pending = false;
  }

  /** A thread did not arrive; `gone` when the server says that it does not exist. */
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
