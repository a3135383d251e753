/** An entity in a message: a chip, which calls the page when it is clicked, and shows the page's preview. */
import type { Entity } from "@openai/chatkit";
import { css, html, nothing } from "lit";

import { anyIcon } from "../icons/icon";
import { lazy } from "../lazy";
import { define, Part } from "../part";

/** As in an input tag and in an entity source: `title` may be missing, and `data` is not only text. */
type TagEntity = Omit<Entity, "data" | "icon"> & { data?: Record<string, unknown>; icon?: string | null };

const PREVIEW_DELAY_MS = 300;

class EntityTag extends Part {
  static override properties = { ...Part.properties, entity: { attribute: false }, text: { attribute: false }, isPreviewed: { state: true } };
  static override sheet = css`
    ck-entity-tag {
      display: inline;
      .tag {
        display: inline-flex; align-items: center; gap: 4px; max-inline-size: 100%; padding: 0 calc(var(--ck-space) * 1.5); border-radius: var(--ck-radius-sm);
        background: var(--ck-accent-soft); color: var(--ck-accent-text); font-weight: 500; line-height: 1.5; vertical-align: baseline; white-space: nowrap;
        svg, ck-icon { inline-size: 14px; block-size: 14px; }
        span { overflow: hidden; text-overflow: ellipsis; }
      }
      button.tag:hover { text-decoration: underline; text-underline-offset: 3px; }
    }
  `;

  declare entity: TagEntity;
  declare text: string;
  private declare isPreviewed: boolean;
  private timer: ReturnType<typeof setTimeout> | undefined;

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    clearTimeout(this.timer);
    this.isPreviewed = false;
  }

  override render() {
    const { entities } = this.chat.options;
    const label = html`${this.entity.icon ? anyIcon(this.entity.icon) : nothing}<span>${this.text || this.entity.title}</span>`;
    const isInteractive = this.entity.interactive && (entities?.onClick || entities?.onRequestPreview);
    if (!isInteractive) return html`<span class="tag">${label}</span>`;
    return html`<button type="button" class="tag" @click=${this.choose} @pointerenter=${this.wait} @focus=${this.wait} @pointerleave=${this.leave} @blur=${this.leave}>
        ${label}</button
      >${this.isPreviewed ? html`<ck-entity-preview .chat=${this.chat} .entity=${this.known} .anchor=${this.querySelector("button")}></ck-entity-preview>` : nothing}`;
  }

  private get known(): Entity {
    const { id, title, group, icon, data, interactive } = this.entity;
    return { id, title: title || this.text, ...(group && { group }), ...(icon && { icon }), ...(data && { data: data as Record<string, string> }), interactive: Boolean(interactive) };
  }

  private readonly choose = () => this.chat.clickEntity(this.known);

  private readonly wait = () => {
    if (!this.chat.options.entities?.onRequestPreview) return;
    lazy(() => import("../composer/entity-preview"));
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.isPreviewed = true;
    }, PREVIEW_DELAY_MS);
  };

  private readonly leave = () => {
    clearTimeout(this.timer);
    this.isPreviewed = false;
  };
}

define("ck-entity-tag", EntityTag);
