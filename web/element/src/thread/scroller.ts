/**
 * Decides where the thread is scrolled to. A thread opens at its end and stays there while images and code load. A sent
 * message moves to the top. While an answer grows, the end is followed only if the page wants it, or after the user has
 * jumped there; scrolling up ends that.
 */
import type { ReactiveController, ReactiveControllerHost } from "lit";

/** So close to the end counts as the end. */
const NEAR_PX = 64;
/** A wheel turns in steps, and scrolls on smoothly after the last one. */
const MOVING_MS = 400;
const UP_KEYS = new Set(["ArrowUp", "PageUp", "Home"]);

interface Host extends ReactiveControllerHost, HTMLElement {
  /** The page wants the end to be followed, or nothing is arriving. */
  readonly followsEnd: boolean;
}

export class Scroller implements ReactiveController {
  /** Shows the button that jumps to the end. */
  isAway = false;
  private box: HTMLElement | null = null;
  private mark: Element | null = null;
  private follows = true;
  /** The user has jumped to the end of a growing answer. */
  private isForced = false;
  private isNearEnd = true;
  private isDragged = false;
  private lastTop = 0;
  private movedAt = -MOVING_MS;
  private readonly sizes = new ResizeObserver(() => this.resized());
  private ends: IntersectionObserver | null = null;
  private listeners = new AbortController();

  constructor(private readonly host: Host) {
    host.addController(this);
  }

  hostUpdated(): void {
    const box = this.host.querySelector<HTMLElement>(".scroller");
    if (box !== this.box) this.connect(box);
    this.watchEnd();
  }

  hostDisconnected(): void {
    this.connect(null);
  }

  /** A thread was opened: shows its end. */
  opened(): void {
    this.follows = true;
    this.isForced = false;
    this.toEnd();
  }

  /** A message was sent: shows it at the top, with room for its answer. */
  sent(turn: Element | null): void {
    this.isForced = false;
    this.follows = true;
    const { box } = this;
    if (box && turn) box.scrollTop += turn.getBoundingClientRect().top - box.getBoundingClientRect().top;
  }

  jump(): void {
    this.follows = true;
    this.isForced = true;
    this.box?.focus({ preventScroll: true }); // the button goes away
    this.toEnd(true);
  }

  /** The user scrolls at this moment: a change above would interrupt that. */
  get isMoving(): boolean {
    return performance.now() - this.movedAt < MOVING_MS;
  }

  /**
   * Changes what is above, and keeps what the user sees in its place. Components render before the next frame; until
   * then the browser must not do the same.
   */
  async keep(change: () => void): Promise<void> {
    const { box } = this;
    if (!box) return change();
    const height = box.scrollHeight;
    box.style.setProperty("overflow-anchor", "none");
    change();
    await new Promise(requestAnimationFrame);
    box.scrollTop += box.scrollHeight - height;
    box.style.removeProperty("overflow-anchor");
    this.lastTop = box.scrollTop;
  }

  private connect(box: HTMLElement | null): void {
    this.listeners.abort();
    this.sizes.disconnect();
    this.ends?.disconnect();
    this.ends = null;
    this.mark = null;
    this.box = box;
    if (!box) return;
    this.listeners = new AbortController();
    const { signal } = this.listeners;
    this.sizes.observe(box);
    this.sizes.observe(box.firstElementChild!);
    this.ends = new IntersectionObserver((entries) => this.moved(entries.at(-1)!), { root: box, rootMargin: `${NEAR_PX}px` });
    box.addEventListener("wheel", ({ deltaY }) => deltaY < 0 && this.leave(), { passive: true, signal });
    box.addEventListener("touchmove", () => this.leave(), { passive: true, signal });
    box.addEventListener("keydown", ({ key }) => UP_KEYS.has(key) && this.leave(), { signal });
    box.addEventListener("pointerdown", () => (this.isDragged = true), { signal });
    window.addEventListener("pointerup", () => (this.isDragged = false), { signal });
    for (const name of ["wheel", "touchmove", "keydown"]) box.addEventListener(name, () => (this.movedAt = performance.now()), { passive: true, signal });
    box.addEventListener("scroll", () => this.scrolled(), { passive: true, signal });
    if (this.follows) this.toEnd();
  }

  /** The end of the thread is in its last turn, which renders later than the thread. */
  private watchEnd(): void {
    const last = this.box?.firstElementChild?.lastElementChild;
    const mark = last?.localName === "ck-turn" ? last.querySelector(":scope > ck-turn-end") : (last ?? null);
    if (mark === this.mark) return;
    if (this.mark) this.ends?.unobserve(this.mark);
    if (mark) this.ends?.observe(mark);
    this.mark = mark;
  }

  /** The user looks at something above. */
  private leave(): void {
    this.follows = false;
    this.isForced = false;
  }

  private scrolled(): void {
    const { scrollTop } = this.box!;
    if (this.isDragged && scrollTop < this.lastTop - 2) this.leave();
    else if (this.isNearEnd && scrollTop > this.lastTop) this.follows = true;
    this.lastTop = scrollTop;
  }

  private resized(): void {
    this.watchEnd();
    this.host.style.setProperty("--ck-viewport", `${this.box!.clientHeight}px`);
    if (this.follows && (this.isForced || this.host.followsEnd)) this.toEnd();
  }

  /** The browser limits the position to the end: no layout has to be read. */
  private toEnd(isSmooth = false): void {
    this.box?.scrollTo({ top: 1e9, behavior: isSmooth && !matchMedia("(prefers-reduced-motion: reduce)").matches ? "smooth" : "instant" });
  }

  private moved({ isIntersecting, boundingClientRect, rootBounds }: IntersectionObserverEntry): void {
    this.isNearEnd = isIntersecting;
    if (isIntersecting) this.follows = true;
    else if (!this.isForced && !this.host.followsEnd) this.follows = false;
    const isAway = !isIntersecting && boundingClientRect.top > (rootBounds?.bottom ?? 0);
    if (isAway === this.isAway) return;
    this.isAway = isAway;
    this.host.requestUpdate();
  }
}
