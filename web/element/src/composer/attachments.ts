/** What is attached to the message: pictures and files, their upload, its errors. */
import { css, html, nothing } from "lit";

import { imageSource } from "../addresses";
import type { DraftAttachment } from "../chat/draft";
import { icon } from "../icons/core";
import { Watch } from "../observable";
import { define, Part } from "../part";
import { sizeText } from "./size-text";

class Attachments extends Part {
  static override sheet = css`
    ck-attachments {
      display: block; cursor: default;
      > ul { display: flex; flex-wrap: wrap; gap: calc(2 * var(--ck-space)); max-block-size: 11rem; overflow-y: auto; margin: 0; padding-block-start: 9px; padding-inline-end: 9px; list-style: none; }
      li {
        position: relative; display: flex; align-items: center; gap: calc(2 * var(--ck-space)); box-sizing: border-box; max-inline-size: min(18rem, 100%); min-block-size: 56px;
        padding: calc(1.5 * var(--ck-space)); padding-inline-end: calc(4 * var(--ck-space)); border: 1px solid var(--ck-border); border-radius: var(--ck-radius-lg); background: var(--ck-elevated); font-size: 0.8125em; line-height: 1.35;
        &[data-failed] { border-color: var(--ck-danger); }
      }
      li > [data-picture] { flex: none; display: grid; place-items: center; inline-size: 42px; block-size: 42px; border-radius: calc(var(--ck-radius-lg) - 4px); overflow: hidden; background: var(--ck-surface); color: var(--ck-muted); img { inline-size: 100%; block-size: 100%; object-fit: cover; display: block; } svg { inline-size: 20px; block-size: 20px; } }
      li > [data-text] { min-inline-size: 0; display: grid; }
      [data-name] { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; font-weight: 500; }
      [data-state] { color: var(--ck-muted); overflow-wrap: anywhere; }
      [data-failed] [data-state] { color: var(--ck-danger); }
      progress {
        appearance: none; display: block; inline-size: 8rem; max-inline-size: 100%; block-size: 4px; margin-block-start: 4px; border: 0; border-radius: 2px; overflow: hidden; background: var(--ck-surface);
        &::-webkit-progress-bar { background: var(--ck-surface); }
        &::-webkit-progress-value { background: var(--ck-accent); transition: inline-size 0.2s; }
        &::-moz-progress-bar { background: var(--ck-accent); }
      }
      [data-remove] { position: absolute; inset-block-start: -8px; inset-inline-end: -8px; border: 1px solid var(--ck-border); background: var(--ck-elevated); &&& { inline-size: 24px; block-size: 24px; } svg { inline-size: 14px; block-size: 14px; } &:hover:not(:disabled) { background: var(--ck-surface); } }
      [data-retry] { justify-self: start; min-block-size: 24px; font-weight: 500; text-decoration: underline; }
    }
  `;
  private readonly watch = new Watch(this, null);

  override willUpdate() {
    this.watch.watch(this.chat.draft);
  }

  override render() {
    return html`<ul aria-label=${this.chat.strings.attachments}>${this.chat.draft.attachments.map((file) => this.chip(file))}</ul>`;
  }

  private chip(file: DraftAttachment) {
    const { strings, draft } = this.chat;
    const { name, error } = file;
    const preview = imageSource(file.previewUrl);
    const remove = () => {
      draft.attachments = draft.attachments.filter((other) => other !== file);
      draft.changed();
      file.discard?.();
      (this.closest("form")?.querySelector("[data-input]") as HTMLElement | null)?.focus();
    };
    return html`<li ?data-failed=${error !== null}>
      <span data-picture>${preview ? html`<img src=${preview} alt="" />` : icon("file")}</span>
      <span data-text><span data-name title=${name}>${name}</span>${this.state(file)}</span>
      <button type="button" class="ck-icon-button small" data-remove aria-label=${strings.removeFile(name)} @click=${remove}>${icon("close")}</button>
    </li>`;
  }

  private state({ name, size, error, progress, attachment, retry }: DraftAttachment) {
    const { strings, locale } = this.chat;
    if (error !== null)
      return html`<span data-state>${error}</span>${retry ? html`<button type="button" data-retry aria-label=${`${strings.retry}: ${name}`} @click=${retry}>${strings.retry}</button>` : nothing}`;
    if (!attachment) return html`<progress aria-label=${strings.uploadingFile(name)} max="1" .value=${progress ?? nothing}></progress>`;
    return size === null ? nothing : html`<span data-state>${sizeText(size, locale)}</span>`;
  }
}

define("ck-attachments", Attachments);
