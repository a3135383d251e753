/** Markdown that may still grow. Needs no thread: widgets, notices and the disclaimer show theirs with it, too. */
import type { Entity } from "@openai/chatkit";

import { en } from "../locales/en";
import { define, Part } from "../part";
import type { Annotation } from "../protocol/wire";
import { codeOf } from "./code";
import { parseDeepLink } from "./deep-link";
import { markdownSheet } from "./sheet";
import { View } from "./view";

/** Rendering goes on in a later task after this time. */
const TASK_MS = 12;
/** An update that took longer than this delays the next one, so that the page stays usable. */
const SLOW_MS = 5;
const COPIED_MS = 2_000;

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
    this.addEventListener("click", this.activate);
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

  private readonly activate = (event: MouseEvent) => {
    const target = event.target instanceof Element ? event.target.closest<HTMLElement>(".copy, [data-deep-link], .citation") : null;
    if (!target) return;
    if (target.matches(".copy")) void this.copy(target);
    else if (target.matches(".citation")) this.clickCitation(target);
    else {
      event.preventDefault();
      this.chat?.emit("deeplink", parseDeepLink(target.getAttribute("href") ?? ""));
    }
  };

  private async copy(button: HTMLElement): Promise<void> {
    const strings = this.chat?.strings ?? en;
    await navigator.clipboard.writeText(codeOf(button));
    button.textContent = strings.copied;
    setTimeout(() => (button.textContent = strings.copyCode), COPIED_MS);
  }

  /** Sources with an address are links. */
  private clickCitation(target: HTMLElement): void {
    const source = this.annotations[Number(target.dataset.citation)]?.source;
    if (source?.type !== "entity" || source.interactive === false) return;
    const { id, title, icon, interactive, group, data } = source;
    this.chat?.clickEntity({ id, title, ...(icon && { icon }), interactive, ...(group && { group }), data } as Entity);
  }
}

define("ck-markdown", Markdown);
