/** Markdown that may still grow. Needs no thread: widgets, notices and the disclaimer show theirs with it, too. */
import { lazy } from "../lazy";
import { en } from "../locales/en";
import { define, Part } from "../part";
import type { Annotation } from "../protocol/wire";
import { markdownSheet } from "./sheet";
import { View } from "./view";

/** Rendering goes on in a later task after this time. */
const TASK_MS = 12;
/** An update that took longer than this delays the next one, so that the page stays usable. */
const SLOW_MS = 5;
const EVENTS = ["click", "pointerover", "focusin"];

let cited: typeof import("./citations") | null = null;

class Markdown extends Part {
  static override properties = { ...Part.properties, text: { attribute: false }, annotations: { attribute: false }, isOpen: { attribute: false } };
  static override sheet = markdownSheet;

  declare text: string;
  declare annotations: readonly Annotation[];
  declare isOpen: boolean;
  private readonly view = new View();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private notBefore = 0;

  override connectedCallback(): void {
    super.connectedCallback();
    for (const name of EVENTS) this.addEventListener(name, this.activate);
    if (this.hasUpdated) this.requestUpdate();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  protected override willUpdate(): void {
    const start = performance.now();
    if (this.isOpen && start < this.notBefore) return this.later(this.notBefore - start);
    this.loadCitations();
    const { chat } = this;
    const rendering = { strings: chat?.strings ?? en, imageDomains: chat?.shown.thread?.allowed_image_domains ?? null };
    const input = { text: this.text ?? "", annotations: this.annotations ?? [], isOpen: Boolean(this.isOpen), rendering };
    const isDone = this.view.update(input, start + TASK_MS);
    const cost = performance.now() - start;
    this.notBefore = cost > SLOW_MS ? start + cost * 4 : 0;
    if (!isDone) this.later(0);
  }

  override render() {
    return this.view.root;
  }

  private later(milliseconds: number): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.requestUpdate();
    }, milliseconds);
  }

  /** Buttons, deep links and citations; what they do is loaded when the first one is used. */
  private readonly activate = (event: Event) => {
    const target = event.target instanceof Element ? event.target.closest<HTMLElement>(".copy, [data-deep-link], .citation") : null;
    if (!target || (event.type !== "click" && !target.matches(".citation"))) return;
    if (target.matches("[data-deep-link]")) event.preventDefault();
    const source = this.annotations?.[Number(target.dataset.citation)]?.source ?? null;
    lazy(async () => (await import("./actions")).act({ event: event.type, target, source, chat: this.chat }));
  };

  /** Chips are made by code that only answers with citations load. */
  private loadCitations(): void {
    if (this.view.citations || !this.annotations?.some((annotation) => typeof annotation?.index === "number")) return;
    if (cited) this.view.citations = new cited.Citations();
    else
      lazy(async () => {
        cited = await import("./citations");
        this.requestUpdate();
      });
  }
}

define("ck-markdown", Markdown);
