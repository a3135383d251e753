/** The shown thread: its turns, how it is scrolled, and what a screen reader hears of it. */
import { css, html, nothing } from "lit";
import { repeat } from "lit/directives/repeat.js";

import type { Conversation } from "../chat/conversation";
import { icon } from "../icons/core";
import { lazy, whenIdle } from "../lazy";
import { Watch } from "../observable";
import { define, Part } from "../part";
import { Scroller } from "./scroller";
import { SELECTING, selectionNear } from "./selection";
import "./turn";
import "./turn-end";
import { type Turn, turnsOf } from "./turns";

/** A long thread opens with its last turns; the others follow above them while the browser is idle. */
const FIRST_TURNS = 8;
/** How many more are added at once: as many as take about so long. */
const MOST_MORE_TURNS = 40;
const STEP_MS = 16;
/** A screen reader need not read more at once; the answer itself is there to be read. */
const ANNOUNCED_CHARACTERS = 1_000;

class Thread extends Part {
  static override properties = { ...Part.properties, conversation: { attribute: false }, turnCount: { state: true } };
  static override sheet = css`
    ck-thread {
      display: flex; flex-direction: column; position: relative; min-block-size: 0;
      .scroller { flex: 1; min-block-size: 0; overflow-y: auto; overscroll-behavior: contain; scrollbar-gutter: stable both-edges; scrollbar-width: thin; scrollbar-color: var(--ck-border-strong) transparent; &:focus-visible { outline-offset: -2px; } }
      .column { max-inline-size: calc(var(--ck-column) + 2 * var(--ck-gutter)); margin-inline: auto; padding: calc(var(--ck-space) * 4) var(--ck-gutter); }
      .jump {
        position: absolute; inset-block-end: calc(var(--ck-space) * 3); inset-inline: 0; margin-inline: auto; background: var(--ck-elevated); color: var(--ck-fg);
        border: 1px solid var(--ck-border); box-shadow: var(--ck-shadow-sm); animation: ck-rise var(--ck-slow) var(--ck-ease);
      }
      .jump:hover { background: linear-gradient(var(--ck-hover), var(--ck-hover)) var(--ck-elevated); }
      .loading { display: grid; gap: calc(var(--ck-space) * 4); animation: ck-appear 0.2s 0.15s both; }
      .loading :first-child { justify-self: end; inline-size: 45%; block-size: 2.5rem; border-radius: var(--ck-radius-lg); }
      .loading .line { block-size: 0.9rem; &:nth-child(2) { inline-size: 92%; } &:nth-child(3) { inline-size: 98%; } &:nth-child(4) { inline-size: 64%; } }
    }
    @keyframes ck-rise { from { opacity: 0; translate: 0 6px; } }
    @keyframes ck-appear { from { opacity: 0; } }
  `;

  declare conversation: Conversation;
  /** How many of the last turns are rendered. */
  private declare turnCount: number;
  private readonly watch = new Watch(this, null);
  private readonly chatWatch = new Watch(this, null);
  private readonly scroller = new Scroller(this);
  private turns: Turn[] = [];
  private shown: Conversation | null = null;
  private sentKey: string | null = null;
  private wasResponding = false;
  private isGrowing = false;
  private moreTurns = 4;
  private announced = "";

  get followsEnd(): boolean {
    return Boolean(this.chat.options.thread?.autoScroll) || !this.conversation.isResponding;
  }

  protected override firstUpdated(): void {
    whenIdle(() => lazy(() => import("./turn-actions"))); // before a lost connection can prevent it
    const load = () => selectionNear(this)?.isCollapsed === false && lazy(() => import("./quote-button"));
    for (const name of SELECTING) this.addEventListener(name, load);
  }

  override willUpdate(): void {
    const { conversation } = this;
    this.watch.watch(conversation);
    this.chatWatch.watch(this.chat);
    this.turns = turnsOf(conversation.items.values());
    if (conversation === this.shown) return;
    this.turnCount = FIRST_TURNS;
    this.wasResponding = conversation.isResponding;
    this.sentKey = this.shown ? conversation.sentKey : null; // the first message of a thread is sent before there is one
    this.announced = "";
  }

  override render() {
    const { chat, conversation, turns } = this;
    const { strings } = chat;
    if (chat.loadingId) return this.skeleton();
    const last = turns.at(-1);
    return html`<div class="scroller" tabindex="0" role="log" aria-live="off" aria-label=${strings.conversation}>
        <div class="column">
          ${repeat(
            turns.slice(-this.turnCount),
            ({ key }) => key,
            ({ key, items }) => html`<ck-turn
              .chat=${chat}
              .conversation=${conversation}
              .items=${items}
              .isLast=${key === last?.key}
              .isResponding=${key === last?.key && conversation.isResponding}
              .rating=${conversation.ratings.get(key)}
              ?data-sent=${key === last?.key && key === conversation.sentKey}
            ></ck-turn>`,
          )}
          ${last ? nothing : html`<ck-turn-end .chat=${chat} .conversation=${conversation}></ck-turn-end>`}
        </div>
      </div>
      ${this.scroller.isAway
        ? html`<button type="button" class="jump ck-icon-button" aria-label=${strings.jumpToLatest} title=${strings.jumpToLatest} @click=${() => this.scroller.jump()}>${icon("arrow-down")}</button>`
        : nothing}
      <ck-quote-button .chat=${chat}></ck-quote-button>
      <div class="ck-hidden" aria-live="polite">${this.announcement()}</div>`;
  }

  protected override updated(): void {
    const { conversation, turns } = this;
    if (conversation !== this.shown && !this.chat.loadingId) {
      this.shown = conversation;
      this.scroller.opened();
    }
    if (conversation.sentKey !== this.sentKey) {
      this.sentKey = conversation.sentKey;
      this.scroller.sent(this.querySelector("ck-turn:last-of-type"));
    }
    this.wasResponding = conversation.isResponding;
    if (this.turnCount < turns.length) this.growWhenIdle();
  }

  private skeleton() {
    return html`<div class="scroller">
      <div class="column loading" role="status" aria-label=${this.chat.strings.loadingConversation}>
        <span class="ck-skeleton"></span><span class="ck-skeleton line"></span><span class="ck-skeleton line"></span><span class="ck-skeleton line"></span>
      </div>
    </div>`;
  }

  /** One step at a time, as each measures what the last one has added. */
  private growWhenIdle(): void {
    if (this.isGrowing) return;
    this.isGrowing = true;
    whenIdle(async () => {
      if (this.isConnected && !this.scroller.isMoving) await this.grow();
      this.isGrowing = false;
      if (this.isConnected && this.turnCount < this.turns.length) this.growWhenIdle();
    });
  }

  private async grow(): Promise<void> {
    const startedAt = performance.now();
    const kept = this.scroller.keep(() => (this.turnCount += this.moreTurns));
    await new Promise((resolve) => setTimeout(resolve)); // the turns are rendered
    const isFast = performance.now() - startedAt < STEP_MS;
    this.moreTurns = isFast ? Math.min(this.moreTurns + 2, MOST_MORE_TURNS) : Math.max(Math.floor(this.moreTurns / 2), 2);
    await kept;
  }

  /** The answer, once, when it is complete; what goes wrong is announced where it is shown. */
  private announcement(): string {
    const { conversation, wasResponding, turns } = this;
    if (conversation.isResponding || !wasResponding) return conversation.isResponding ? "" : this.announced;
    const item = turns.at(-1)?.items.findLast(({ item }) => item.type === "assistant_message")?.item;
    const text = item?.type === "assistant_message" ? item.content.map(({ text }) => text).join(" ").slice(0, ANNOUNCED_CHARACTERS) : "";
    this.announced = text ? `${this.chat.strings.answer}: ${text}` : "";
    return this.announced;
  }
}

define("ck-thread", Thread);
