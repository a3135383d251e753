/**
 * The base of the components inside `<openai-chatkit>`. They render without a shadow root of their own, so that all share
 * the element's style sheets and custom properties; their styles are added to its shadow root when the first one connects.
 */
import { type CSSResult, LitElement } from "lit";

import type { Chat } from "./chat/chat";
import { Watch } from "./observable";

export class Part extends LitElement {
  static override properties = { chat: { attribute: false } };
  /** Written as `ck-name { … }`: the rules apply in the whole shadow root. */
  static sheet: CSSResult | null = null;

  declare chat: Chat;
  private readonly settingsWatch = new Watch(this, null);

  constructor() {
    super();
    this.addController({ hostUpdate: () => this.settingsWatch.watch(this.chat?.settings ?? null) });
  }

  override createRenderRoot(): HTMLElement {
    return this;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    const sheet = (this.constructor as typeof Part).sheet?.styleSheet;
    const root = this.getRootNode();
    if (sheet && root instanceof ShadowRoot && !root.adoptedStyleSheets.includes(sheet)) root.adoptedStyleSheets.push(sheet);
  }
}

/** Defines the component once, even where the script runs twice. */
export function define(name: `ck-${string}`, component: typeof Part): void {
  if (!customElements.get(name)) customElements.define(name, component as CustomElementConstructor);
}
