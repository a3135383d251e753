/** Something that components watch: they render again in the next animation frame after it has changed. */
import type { ReactiveController, ReactiveControllerHost } from "lit";

export class Observable {
  private readonly listeners = new Set<() => void>();

  /** Calls the listener after each change, synchronously; returns a function that ends it. */
  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Call after a change. */
  changed(): void {
    for (const listener of [...this.listeners]) listener();
  }
}

/** Renders its host when the observable changes, at most once per frame; hidden pages have no frames. */
export class Watch implements ReactiveController {
  private unsubscribe: (() => void) | undefined;
  private isConnected = false;
  private frame = 0;

  constructor(
    private readonly host: ReactiveControllerHost,
    private observable: Observable | null,
  ) {
    host.addController(this);
  }

  /** Watches another one from now on. */
  watch(observable: Observable | null): void {
    if (observable === this.observable) return;
    this.unsubscribe?.();
    this.unsubscribe = undefined;
    this.observable = observable;
    if (this.isConnected) this.hostConnected(); // one that has left the page would never be forgotten
  }

  /** What changed while the host was out of the page is rendered too. */
  hostConnected(): void {
    this.isConnected = true;
    this.unsubscribe ??= this.observable?.subscribe(() => this.schedule());
    this.host.requestUpdate();
  }

  hostDisconnected(): void {
    this.isConnected = false;
    this.unsubscribe?.();
    this.unsubscribe = undefined;
  }

  private schedule(): void {
    if (document.hidden) return this.host.requestUpdate();
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.host.requestUpdate();
    });
  }
}
