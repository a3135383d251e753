/**
 * The threads by day. Rows are added as the user scrolls: ten thousand at once would take a second. The arrow keys, Home
 * and End move between rows.
 */
import { css, html, nothing } from "lit";
import { repeat } from "lit/directives/repeat.js";

import type { Strings } from "../locales/en";
import { Watch } from "../observable";
import { define, Part } from "../part";
import type { ThreadMetadata } from "../protocol/wire";
import { grouped } from "./groups";
import "./row";
import type { HistoryRow } from "./row";

const BATCH = 40;

export class HistoryList extends Part {
  static override properties = { ...Part.properties, threads: { attribute: false }, count: { state: true }, tabStop: { state: true } };
  static override sheet = css`
    ck-history-list {
      display: block;
      section { margin-block-end: calc(var(--ck-space) * 4); }
      h3 { padding: calc(var(--ck-space) * 1.5) calc(var(--ck-space) * 3); color: var(--ck-muted); font-size: var(--ck-size-xs); font-weight: 600; line-height: 1.4; }
      li { margin-block-end: 1px; }
      .end { block-size: 1px; }
    }
  `;

  declare threads: ThreadMetadata[];
  declare private count: number;
  /** The id of the row that Tab reaches. */
  declare private tabStop: string | null;
  private strings: Strings | null = null;
  private readonly threadsWatch = new Watch(this, null);
  private readonly shownWatch = new Watch(this, null);
  private groups: ReturnType<typeof grouped> = [];
  private readonly endSeen = new IntersectionObserver((entries) => entries.some(({ isIntersecting }) => isIntersecting) && this.grow(), { rootMargin: "600px" });

  constructor() {
    super();
    this.count = BATCH;
    this.tabStop = null;
    this.addEventListener("keydown", this.onKey);
    this.addEventListener("focusin", ({ target }) => {
      this.tabStop = (target as Element).closest<HTMLElement>("ck-history-row")?.dataset.thread ?? this.tabStop;
    });
  }

  /** Another theme or focus does not group ten thousand threads again. */
  override willUpdate(changed: Map<string, unknown>) {
    const { chat, threads } = this;
    this.threadsWatch.watch(chat.threads);
    this.shownWatch.watch(chat.shown);
    if (!changed.has("threads") && this.strings === chat.strings) return;
    this.strings = chat.strings;
    this.groups = grouped(threads, chat.strings, chat.locale);
    const ids = new Set(threads.map(({ id }) => id));
    if (this.tabStop && ids.has(this.tabStop)) return;
    this.tabStop = chat.shown.id && ids.has(chat.shown.id) ? chat.shown.id : (this.groups[0]?.threads[0]?.id ?? null);
  }

  override render() {
    let left = this.count;
    const shown = this.groups.flatMap(({ label, threads }) => {
      const some = threads.slice(0, Math.max(0, left));
      left -= some.length;
      return some.length ? [{ label, threads: some }] : [];
    });
    return html`${repeat(
        shown,
        ({ label }) => label,
        ({ label, threads }, index) => html`<section aria-labelledby="day-${index}">
          <h3 id="day-${index}">${label}</h3>
          <ul role="list">
            ${repeat(threads, ({ id }) => id, (thread) => html`<li>${this.row(thread)}</li>`)}
          </ul>
        </section>`,
      )}
      ${left <= 0 ? html`<div class="end"></div>` : nothing}`;
  }

  override updated() {
    const end = this.querySelector(".end");
    this.endSeen.disconnect();
    if (end) this.endSeen.observe(end);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.endSeen.disconnect();
  }

  /** Focuses the row of the thread that follows a deleted one, or the first. */
  focusRow(id: string | null): void {
    const rows = this.rows();
    (rows.find(({ thread }) => thread.id === id) ?? rows[0])?.focus();
  }

  /** The id of the row that takes the place of this one. */
  neighbourOf(id: string): string | null {
    const rows = this.rows();
    const index = rows.findIndex(({ thread }) => thread.id === id);
    return (rows[index + 1] ?? rows[index - 1])?.thread.id ?? null;
  }

  private row(thread: ThreadMetadata) {
    const { chat } = this;
    return html`<ck-history-row
      .chat=${chat}
      .thread=${thread}
      .isCurrent=${chat.shown.id === thread.id}
      .isRunning=${chat.responses.conversationOf(thread.id)?.isResponding ?? false}
      .isTabStop=${this.tabStop === thread.id}
    ></ck-history-row>`;
  }

  private grow(): void {
    if (this.count < this.threads.length) this.count += BATCH;
  }

  private rows(): HistoryRow[] {
    return [...this.querySelectorAll<HistoryRow>("ck-history-row")];
  }

  private readonly onKey = async (event: KeyboardEvent) => {
    const rows = this.rows();
    const index = rows.findIndex((row) => row.contains(event.target as Node));
    const next = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: rows.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    if (next < 0) return void this.dispatchEvent(new CustomEvent("ck-search", { bubbles: true }));
    if (next >= rows.length - 1) {
      this.grow();
      await this.updateComplete;
    }
    this.rows()[next]?.focus();
  };
}

define("ck-history-list", HistoryList);
