/**
 * Places a component above everything else, next to an anchor: in the browser's top layer, so that neither the element's
 * edge nor a page's style cuts it off. It moves with the anchor, and closes on Escape and on a press outside of it.
 */
import type { LitElement, ReactiveController } from "lit";

const GAP = 6;
const MARGIN = 8;
const MAX_HEIGHT = 380;

export interface PopoverOptions {
  anchor: () => Element | null;
  close: () => void;
  /** The side it opens to if there is room; otherwise to the larger one. */
  side?: "top" | "bottom";
  /** Which edges lie in line. */
  align?: "start" | "end";
}

export class Popover implements ReactiveController {
  private listening: AbortController | null = null;

  constructor(
    private readonly host: LitElement,
    private readonly options: () => PopoverOptions,
  ) {
    host.addController(this);
  }

  hostConnected(): void {
    const { host } = this;
    host.setAttribute("popover", "manual");
    this.listening = new AbortController();
    const { signal } = this.listening;
    const place = () => this.place();
    document.addEventListener("pointerdown", (event) => this.pressed(event), { signal, capture: true });
    document.addEventListener("keydown", (event) => this.keyed(event), { signal });
    window.addEventListener("resize", place, { signal });
    window.addEventListener("scroll", place, { signal, capture: true, passive: true });
    window.visualViewport?.addEventListener("resize", place, { signal });
  }

  hostDisconnected(): void {
    this.listening?.abort();
  }

  hostUpdated(): void {
    const { host } = this;
    if (!host.isConnected) return;
    // A browser without popovers places it in the element.
    if ("showPopover" in host && !host.matches(":popover-open")) host.showPopover();
    this.place();
  }

  /** Places it again, after the anchor has moved. */
  place(): void {
    const { anchor, side = "bottom", align = "start" } = this.options();
    const box = anchor()?.getBoundingClientRect();
    if (!box) return;
    const { style } = this.host;
    const width = document.documentElement.clientWidth;
    const height = window.visualViewport?.height ?? window.innerHeight;
    const room = { top: box.top - GAP - MARGIN, bottom: height - box.bottom - GAP - MARGIN };
    const wanted = Math.min(this.host.scrollHeight, 240);
    const other = side === "top" ? "bottom" : "top";
    const used = room[side] < wanted && room[other] > room[side] ? other : side;
    const isRight = (align === "end") !== (getComputedStyle(this.host).direction === "rtl");
    style.setProperty("max-block-size", `${Math.max(80, Math.min(MAX_HEIGHT, Math.floor(room[used])))}px`);
    style.setProperty("top", used === "bottom" ? `${box.bottom + GAP}px` : "auto");
    style.setProperty("bottom", used === "top" ? `${window.innerHeight - box.top + GAP}px` : "auto");
    const { offsetWidth } = this.host;
    const left = isRight ? box.right - offsetWidth : box.left;
    style.setProperty("left", `${Math.max(MARGIN, Math.min(left, width - offsetWidth - MARGIN))}px`);
  }

  private pressed(event: Event): void {
    const path = event.composedPath();
    const anchor = this.options().anchor();
    if (!path.includes(this.host) && !(anchor && path.includes(anchor))) this.options().close();
  }

  private keyed(event: KeyboardEvent): void {
    if (event.key !== "Escape" || event.defaultPrevented) return;
    event.preventDefault();
    this.options().close();
  }
}
