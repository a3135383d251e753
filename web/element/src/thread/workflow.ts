/** What the assistant did before it answered: a line that opens to its thoughts, searches and other tasks. */
import { css, html, nothing } from "lit";

import { icon } from "../icons/core";
import { anyIcon } from "../icons/icon";
import { define } from "../part";
import type { Workflow } from "../protocol/wire";
import { ItemPart } from "./item-part";
import { titleOf } from "./task";

class WorkflowView extends ItemPart {
  static override properties = { ...ItemPart.properties, choice: { state: true } };
  static override sheet = css`
    ck-workflow {
      display: block; color: var(--ck-muted);
      .summary {
        display: inline-flex; align-items: center; gap: calc(var(--ck-space) * 1.5); max-inline-size: 100%; min-block-size: 28px; font-size: var(--ck-size-sm); text-align: start; border-radius: var(--ck-radius-sm);
        svg, ck-icon { inline-size: 16px; block-size: 16px; }
        .title { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
        .arrow { display: grid; transition: rotate var(--ck-fast); }
      }
      &:dir(rtl) .arrow svg { scale: -1 1; }
      &[data-expanded]:dir(rtl) .arrow { rotate: -90deg; }
      button.summary:hover { color: var(--ck-fg); }
      &[data-expanded] .arrow { rotate: 90deg; }
      ol { position: relative; display: grid; gap: calc(var(--ck-space) * 3); margin-block: calc(var(--ck-space) * 2) var(--ck-space); }
      ol::before { content: ""; position: absolute; inset-block: 1.6em 4px; inset-inline-start: 9px; border-inline-start: 1px solid var(--ck-border); }
      li { position: relative; }
      li ck-task > .mark { background: var(--ck-bg); }
    }
  `;

  /** What the user has chosen, instead of what the server says. */
  private declare choice: boolean | undefined;

  override render() {
    const { item, isOpen } = this.shown;
    if (item.type !== "workflow") return nothing;
    const { workflow } = item;
    const isExpanded = this.choice ?? Boolean(workflow.expanded);
    this.toggleAttribute("data-expanded", isExpanded && workflow.tasks.length > 0);
    const toggle = () => {
      this.choice = !isExpanded;
    };
    const summary = html`${this.iconOf(workflow)}<span class="title ${isOpen ? "shimmer" : ""}">${this.titleOf(workflow, isOpen)}</span>`;
    if (!workflow.tasks.length) return html`<span class="summary">${summary}</span>`;
    return html`<button type="button" class="summary" aria-expanded=${isExpanded} @click=${toggle}>${summary}<span class="arrow">${icon("chevron-right")}</span></button>
      ${isExpanded ? html`<ol>${workflow.tasks.map((task) => html`<li><ck-task .chat=${this.chat} .task=${task} .isOpen=${isOpen}></ck-task></li>`)}</ol>` : nothing}`;
  }

  private iconOf({ type, summary }: Workflow) {
    if (summary && "icon" in summary && summary.icon) return anyIcon(summary.icon);
    return type === "reasoning" ? icon("sparkle") : nothing;
  }

  private titleOf({ type, summary, tasks }: Workflow, isOpen: boolean): string {
    const { strings } = this.chat;
    if (summary && "title" in summary && summary.title) return summary.title;
    if (isOpen) return (tasks.length && titleOf(tasks.at(-1)!, strings)) || (type === "reasoning" ? strings.thinking : strings.working);
    if (summary && "duration" in summary && typeof summary.duration === "number") return this.duration(summary.duration);
    if (type === "reasoning") return strings.thought;
    return (tasks.length && titleOf(tasks.at(-1)!, strings)) || strings.steps;
  }

  private duration(seconds: number): string {
    const { thoughtFor, thoughtForMoment } = this.chat.strings;
    const rounded = Math.round(seconds);
    if (rounded < 1) return thoughtForMoment;
    const text = (value: number, unit: string) => new Intl.NumberFormat(this.chat.locale, { style: "unit", unit, unitDisplay: "long" }).format(value);
    const minutes = Math.floor(rounded / 60);
    const parts = [...(minutes ? [text(minutes, "minute")] : []), ...(rounded % 60 || !minutes ? [text(rounded % 60, "second")] : [])];
    return thoughtFor(parts.join(" "));
  }
}

define("ck-workflow", WorkflowView);
