/** Files that are dragged over the element may be dropped anywhere on it. */
import { css, html, nothing } from "lit";

import { icon } from "../icons/core";
import { define, Part } from "../part";

class DropZone extends Part {
  static override properties = { ...Part.properties, isEnabled: { attribute: false }, onFiles: { attribute: false }, isOver: { state: true } };
  static override sheet = css`
    ck-drop-zone > div {
      position: absolute; inset: 0; z-index: 20; display: grid; place-content: center; justify-items: center; gap: calc(2 * var(--ck-space)); pointer-events: none;
      background: color-mix(in srgb, var(--ck-bg) 88%, transparent); font-weight: 500;
      &::before { content: ""; position: absolute; inset: calc(3 * var(--ck-space)); border: 2px dashed var(--ck-focus); border-radius: var(--ck-radius-lg); }
      svg { inline-size: 32px; block-size: 32px; color: var(--ck-focus); }
    }
  `;

  declare isEnabled: boolean;
  declare private isOver: boolean;
  declare onFiles: (files: File[]) => void;
  private listening: AbortController | null = null;

  constructor() {
    super();
    this.isEnabled = true;
    this.isOver = false;
    this.onFiles = () => {};
  }

  override connectedCallback(): void {
    super.connectedCallback();
    const { host } = this.getRootNode() as ShadowRoot;
    this.listening = new AbortController();
    const { signal } = this.listening;
    for (const type of ["dragenter", "dragover"]) host.addEventListener(type, (event) => this.dragged(event as DragEvent), { signal });
    host.addEventListener("dragleave", (event) => this.left(event as DragEvent, host), { signal });
    host.addEventListener("drop", (event) => this.dropped(event as DragEvent), { signal });
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.listening?.abort();
  }

  override render() {
    return this.isOver ? html`<div>${icon("paperclip")}<span>${this.chat.strings.dropFiles}</span></div>` : nothing;
  }

  private dragged(event: DragEvent): void {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault(); // otherwise the browser opens the file
    event.dataTransfer.dropEffect = this.isEnabled ? "copy" : "none";
    this.isOver = this.isEnabled;
  }

  private left(event: DragEvent, host: Element): void {
    const to = event.relatedTarget as Node | null;
    if (!to || (to !== host && !host.contains(to) && !host.shadowRoot?.contains(to))) this.isOver = false;
  }

  private dropped(event: DragEvent): void {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    this.isOver = false;
    if (this.isEnabled) this.onFiles([...event.dataTransfer.files]);
  }
}

define("ck-drop-zone", DropZone);
