/** A message of the user: what it quotes, its files, and its text with tags. A long text is shown in part. */
import type { UserMessageContent } from "@openai/chatkit";
import { css, html, nothing } from "lit";

import { icon } from "../icons/core";
import { lazy } from "../lazy";
import { define } from "../part";
import { ItemPart } from "./item-part";

const LONG_CHARACTERS = 1_500;
const LONG_LINES = 18;

class UserMessage extends ItemPart {
  static override properties = { ...ItemPart.properties, isExpanded: { state: true } };
  static override sheet = css`
    ck-user-message {
      display: flex; flex-direction: column; align-items: flex-end; gap: calc(var(--ck-space) * 2); padding-inline-start: clamp(0px, 15%, 8rem);
      .bubble { max-inline-size: 100%; padding: calc(var(--ck-space) * 2.25) calc(var(--ck-space) * 4); border-radius: var(--ck-radius-lg); background: var(--ck-user); color: var(--ck-on-user); }
      .text { white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext; }
      .text.cut { max-block-size: 24em; overflow: hidden; mask-image: linear-gradient(#000 75%, transparent); }
      .more { margin-block-start: var(--ck-space); min-block-size: 24px; font-size: var(--ck-size-sm); font-weight: 500; text-decoration: underline; text-underline-offset: 3px; }
      .quote {
        display: flex; gap: calc(var(--ck-space) * 1.5); max-inline-size: 100%; margin: 0; color: var(--ck-muted); font-size: var(--ck-size-sm);
        svg { inline-size: 16px; block-size: 16px; margin-block-start: 2px; }
        p { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3; overflow: hidden; white-space: pre-wrap; unicode-bidi: plaintext; }
      }
    }
  `;

  private declare isExpanded: boolean;

  override render() {
    const { item } = this.shown;
    if (item.type !== "user_message") return nothing;
    const { content, attachments, quoted_text } = item;
    if (attachments.length) lazy(() => import("./message-files"));
    return html`${quoted_text ? html`<blockquote class="quote">${icon("reply")}<p><span class="ck-hidden">${this.chat.strings.quotedText}: </span>${quoted_text}</p></blockquote>` : nothing}
      ${attachments.length ? html`<ck-message-files .chat=${this.chat} .attachments=${attachments}></ck-message-files>` : nothing}
      ${content.some(({ text }) => text) ? this.bubble(content) : nothing}`;
  }

  private bubble(content: UserMessageContent[]) {
    const { showMore, showLess } = this.chat.strings;
    const isLong = isLongText(content);
    const isCut = isLong && !this.isExpanded;
    const toggle = () => {
      this.isExpanded = !this.isExpanded;
    };
    return html`<div class="bubble">
      <div class="text ${isCut ? "cut" : ""}">${(isCut ? beginning(content) : content).map((part) => this.segment(part))}</div>
      ${isLong ? html`<button type="button" class="more" aria-expanded=${!isCut} @click=${toggle}>${isCut ? showMore : showLess}</button>` : nothing}
    </div>`;
  }

  private segment(part: UserMessageContent) {
    if (part.type === "input_text") return part.text;
    lazy(() => import("./entity-tag"));
    return html`<ck-entity-tag .chat=${this.chat} .entity=${{ ...part, title: part.text }} .text=${part.text}></ck-entity-tag>`;
  }
}

function isLongText(content: UserMessageContent[]): boolean {
  const length = content.reduce((sum, { text }) => sum + text.length, 0);
  return length > LONG_CHARACTERS || content.some(({ text }) => text.split("\n", LONG_LINES + 1).length > LONG_LINES);
}

/** What is shown of a long text: a pasted file of a megabyte takes long to lay out. */
function beginning(content: UserMessageContent[]): UserMessageContent[] {
  let rest = LONG_CHARACTERS;
  const parts: UserMessageContent[] = [];
  for (const part of content) {
    if (rest <= 0) break;
    parts.push(part.type === "input_text" ? { ...part, text: part.text.slice(0, rest) } : part);
    rest -= part.text.length;
  }
  return parts;
}

define("ck-user-message", UserMessage);
