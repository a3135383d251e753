/** One step of the assistant: a search, a thought, files it reads, or a step with a name of its own. */
import { css, html, nothing, type TemplateResult } from "lit";

import { icon } from "../icons/core";
import { anyIcon } from "../icons/icon";
import type { Strings } from "../locales/en";
import "../markdown/markdown";
import { define, Part } from "../part";
import type { Task } from "../protocol/wire";
import { ItemPart } from "./item-part";
import "./sources";

class TaskView extends Part {
  static override properties = { ...Part.properties, task: { attribute: false }, isOpen: { attribute: false } };
  static override sheet = css`
    ck-task {
      display: grid; grid-template-columns: 20px minmax(0, 1fr); gap: 2px calc(var(--ck-space) * 2.5); font-size: var(--ck-size-sm); line-height: 1.5;
      & > .mark { display: grid; place-items: center; block-size: 1.5em; color: var(--ck-icon); svg, ck-icon { inline-size: 16px; block-size: 16px; } .ck-spinner { inline-size: 14px; block-size: 14px; } }
      .name { display: block; unicode-bidi: plaintext; font-weight: 500; &:empty { display: none; } }
      .body { color: var(--ck-muted); min-inline-size: 0; }
      .body ck-markdown { font-size: inherit; color: inherit; }
      .queries { display: flex; flex-wrap: wrap; gap: calc(var(--ck-space) * 1.5); margin-block: calc(var(--ck-space) * 1.5); }
      .query { display: inline-flex; align-items: center; gap: 4px; max-inline-size: 100%; padding: 1px calc(var(--ck-space) * 2); border-radius: var(--ck-radius-full); background: var(--ck-surface); font-size: var(--ck-size-xs); svg { inline-size: 12px; block-size: 12px; } }
      ck-source-list { margin-block-start: var(--ck-space); .source { padding-block: calc(var(--ck-space) * 0.75); } }
    }
  `;

  declare task: Task;
  /** More of it may arrive. */
  declare isOpen: boolean;

  override render() {
    const { task, isOpen } = this;
    const { strings } = this.chat;
    const isLoading = isOpen && task.status_indicator === "loading";
    const status = isLoading ? strings.inProgress : task.status_indicator === "complete" ? strings.done : null;
    return html`<span class="mark">${isLoading ? html`<span class="ck-spinner"></span>` : iconOf(task)}</span>
      <div class="body">
        <span class="name">${titleOf(task, strings)}</span>${status ? html`<span class="ck-hidden"> (${status})</span>` : nothing}
        ${this.details(task)}
      </div>`;
  }

  private details(task: Task): TemplateResult | typeof nothing {
    switch (task.type) {
      case "web_search":
        return html`${task.queries?.length ? html`<div class="queries">${task.queries.map((query) => html`<span class="query">${icon("search")}${query}</span>`)}</div>` : nothing}
          ${task.sources?.length ? html`<ck-source-list .chat=${this.chat} .sources=${task.sources}></ck-source-list>` : nothing}`;
      case "file":
        return task.sources?.length ? html`<ck-source-list .chat=${this.chat} .sources=${task.sources}></ck-source-list>` : nothing;
      case "image":
        return nothing;
      default:
        return task.content ? html`<ck-markdown .chat=${this.chat} .text=${task.content} .annotations=${NONE} .isOpen=${this.isOpen}></ck-markdown>` : nothing;
    }
  }
}

const NONE: [] = [];

export function titleOf(task: Task, strings: Strings): string {
  if (task.title) return task.title;
  if (task.type === "web_search") return task.title_query || (task.status_indicator === "loading" ? strings.searchingWeb : strings.searchedWeb);
  if (task.type === "file") return strings.readingFiles;
  if (task.type === "image") return strings.image;
  return "";
}

function iconOf(task: Task) {
  if (task.type === "custom" && task.icon) return anyIcon(task.icon);
  if (task.type === "web_search") return icon("globe");
  if (task.type === "file") return icon("file");
  if (task.type === "image") return icon("image");
  if (task.status_indicator === "complete") return icon("check");
  return icon(task.type === "thought" ? "sparkle" : "empty-circle");
}

/** A task outside a workflow. */
class TaskItem extends ItemPart {
  override render() {
    const { item, isOpen } = this.shown;
    return item.type === "task" ? html`<ck-task .chat=${this.chat} .task=${item.task} .isOpen=${isOpen}></ck-task>` : nothing;
  }
}

define("ck-task", TaskView);
define("ck-task-item", TaskItem);
