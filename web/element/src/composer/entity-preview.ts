/** `<ck-entity-preview>`: what the page shows of an entity, as a widget in a popover next to its tag. Loaded on demand. */
import type { Entity } from "@openai/chatkit";
import { css, html, nothing } from "lit";

import { define, Part } from "../part";
import { Popover } from "../popover";
import type { WidgetRoot } from "../protocol/wire";
import "../widgets/widget";

/** Previews that the page has answered, so that the pointer may pass over a tag often. */
const known = new WeakMap<object, Map<string, WidgetRoot | null>>();

class EntityPreview extends Part {
  static override properties = { ...Part.properties, entity: { attribute: false }, anchor: { attribute: false }, onClose: { attribute: false }, preview: { state: true } };
  static override sheet = css`
    ck-entity-preview {
      position: fixed; inset: auto; margin: 0; box-sizing: border-box; overflow: auto; z-index: 10; max-inline-size: min(22rem, calc(100vw - 16px)); padding: calc(3 * var(--ck-space));
      border: 1px solid var(--ck-border); border-radius: var(--ck-radius-lg); background: var(--ck-elevated); color: var(--ck-fg); box-shadow: var(--ck-shadow); font-size: var(--ck-size-sm);
    }
  `;

  declare entity: Entity;
  declare anchor: Element | null;
  declare private preview: WidgetRoot | null;
  declare onClose: () => void;

  constructor() {
    super();
    this.anchor = null;
    this.preview = null;
    this.onClose = () => {};
    new Popover(this, () => ({ anchor: () => this.anchor, close: () => this.onClose(), side: "top" }));
  }

  override willUpdate(changed: Map<string, unknown>) {
    if (changed.has("entity") && (changed.get("entity") as Entity | undefined)?.id !== this.entity.id) void this.load();
  }

  override render() {
    const { chat, preview } = this;
    this.role = "tooltip";
    this.hidden = !preview;
    return preview ? html`<ck-widget .chat=${chat} .widget=${preview}></ck-widget>` : nothing;
  }

  private async load(): Promise<void> {
    const { entity, chat } = this;
    const { onRequestPreview } = chat.options.entities ?? {};
    if (!onRequestPreview) return;
    const answers = known.get(onRequestPreview) ?? new Map<string, WidgetRoot | null>();
    known.set(onRequestPreview, answers);
    try {
      if (!answers.has(entity.id)) answers.set(entity.id, ((await onRequestPreview(entity))?.preview ?? null) as WidgetRoot | null);
      if (entity.id === this.entity.id) this.preview = answers.get(entity.id) ?? null;
    } catch (error) {
      chat.emit("error", { error });
    }
  }
}

define("ck-entity-preview", EntityPreview);
