/** The files of a user's message. Loaded with the first of them. */
import type { Attachment } from "@openai/chatkit";
import { css, html } from "lit";

import { imageSource } from "../addresses";
import { icon } from "../icons/core";
import { define, Part } from "../part";

class MessageFiles extends Part {
  static override properties = { ...Part.properties, attachments: { attribute: false } };
  static override sheet = css`
    ck-message-files {
      ul { display: flex; flex-wrap: wrap; justify-content: flex-end; gap: calc(var(--ck-space) * 2); }
      .picture img { display: block; max-inline-size: min(100%, 16rem); block-size: 10rem; min-inline-size: 4rem; border-radius: var(--ck-radius); object-fit: cover; background: var(--ck-surface); }
      .file {
        display: flex; align-items: center; gap: calc(var(--ck-space) * 2); max-inline-size: 16rem; padding: calc(var(--ck-space) * 2) calc(var(--ck-space) * 3);
        border: 1px solid var(--ck-border); border-radius: var(--ck-radius); font-size: var(--ck-size-sm);
        svg { color: var(--ck-icon); }
        .name { unicode-bidi: plaintext; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
      }
    }
  `;

  declare attachments: Attachment[];

  override render() {
    return html`<ul>${this.attachments.map((attachment) => html`<li>${file(attachment)}</li>`)}</ul>`;
  }
}

function file(attachment: Attachment) {
  const { name, type } = attachment;
  const preview = type === "image" ? imageSource(attachment.preview_url) : null;
  if (!preview) return html`<span class="file" title=${name}>${icon(type === "image" ? "image" : "file")}<span class="name">${name}</span></span>`;
  const image = html`<img src=${preview} alt=${name} decoding="async" />`;
  if (!preview.startsWith("http")) return html`<span class="picture">${image}</span>`; // browsers open no data: address
  return html`<a class="picture" href=${preview} target="_blank" rel="noopener noreferrer">${image}</a>`;
}

define("ck-message-files", MessageFiles);
