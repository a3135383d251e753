/** Card and ListView with its items. */
import { html, nothing } from "lit";

import { imageSource } from "../addresses";
import { icon } from "../icons/core";
import { anyIcon } from "../icons/icon";
import type { WidgetNode } from "../protocol/wire";
import { styled } from "../styled";
import { actionOf } from "./actions";
import type { Render, WidgetContext } from "./context";
import { ALIGNMENTS, backgroundOf, borderOf, containerStyles, spaceOf } from "./css-values";
import { register, renderChildren } from "./node";
import { onSubmit } from "./submit";
import { childrenOf, numberOf, oneOf, recordOf, textOf } from "./values";

/** How many items `limit: "auto"` shows. */
const AUTO_LIMIT = 6;
const CONTROLS = "button, a, input, select, textarea, label, summary";
const THEMES = ["light", "dark"] as const;

const card: Render = (node, context, scope) => {
  const size = oneOf(node.size, ["sm", "md", "lg", "full"], "md");
  const styles = styled({
    "color-scheme": oneOf(node.theme, THEMES),
    background: backgroundOf(node.background),
    ...(node.border === undefined ? {} : borderOf(node.border)),
    ...containerStyles({ padding: node.padding }),
  });
  const status = statusOf(node, context);
  if (node.collapsed === true) {
    return html`<details class="card" data-size=${size} ${styles}>
      <summary>${status ?? context.chat.strings.details}${icon("chevron-down")}</summary>
      <div class="body">${renderChildren(node, context, scope)}</div>
    </details>`;
  }
  const confirm = recordOf(node.confirm);
  const isForm = node.asForm === true;
  const own = isForm ? `${scope}-${context.plan.numberOf(node)}` : scope;
  const content = html`${status ? html`<div class="status">${status}</div>` : nothing}
    <div class="body">${renderChildren(node, context, own)}</div>
    ${footer(node, context, isForm)}`;
  return isForm
    ? html`<form novalidate class="card" data-size=${size} ${styles} @submit=${onSubmit(context, confirm?.action, "container")}>${content}</form>`
    : html`<section class="card" data-size=${size} ${styles}>${content}</section>`;
};

function footer(node: WidgetNode, context: WidgetContext, isForm: boolean) {
  const [confirm, cancel] = [recordOf(node.confirm), recordOf(node.cancel)];
  if (!confirm && !cancel) return nothing;
  const click = (action: unknown) => (event: Event) => context.actions.run(action, { source: event.currentTarget as HTMLElement, loading: "container" });
  return html`<div class="actions">
    ${cancel
      ? html`<button class="button" type="button" data-pill data-color="secondary" data-variant="outline" data-size="md" @click=${click(cancel.action)}>
          <span>${textOf(cancel.label) || context.chat.strings.cancel}</span>
        </button>`
      : nothing}
    ${confirm
      ? html`<button
          class="button"
          type=${isForm ? "submit" : "button"}
          data-pill
          data-color="primary"
          data-variant="solid"
          data-size="md"
          @click=${isForm ? nothing : click(confirm.action)}
        >
          <span>${textOf(confirm.label) || context.chat.strings.confirm}</span>
        </button>`
      : nothing}
  </div>`;
}

function statusOf(node: WidgetNode, { chat }: WidgetContext) {
  const status = recordOf(node.status);
  if (!status) return null;
  const favicon = imageSource(status.favicon, chat.shown.thread?.allowed_image_domains);
  const image = favicon ? html`<img src=${favicon} alt="" referrerpolicy="no-referrer" ?data-frame=${status.frame === true} />` : anyIcon(status.icon);
  return html`${image}<span>${textOf(status.text)}</span>`;
}

const list: Render = (node, context, scope) => {
  const key = textOf(node.id ?? node.key) || scope;
  const items = childrenOf(node);
  const limit = node.limit === "auto" ? AUTO_LIMIT : numberOf(node.limit, 1, 10_000);
  const isOpen = !limit || items.length <= limit || context.openLists.has(key);
  const status = statusOf(node, context);
  const open = (event: Event) => {
    const rows = (event.currentTarget as HTMLElement).previousElementSibling!;
    context.openLists.add(key);
    void context.refresh().then(() => rows.children[limit!]?.querySelector<HTMLElement>("button, [tabindex]")?.focus());
  };
  return html`<section class="list" ${styled({ "color-scheme": oneOf(node.theme, THEMES) })}>
    ${status ? html`<div class="status">${status}</div>` : nothing}
    <ul>
      ${renderChildren(node, context, scope, isOpen ? items : items.slice(0, limit))}
    </ul>
    ${isOpen ? nothing : html`<button type="button" class="more" @click=${open}>${context.chat.strings.showMore}${icon("chevron-down")}</button>`}
  </section>`;
};

const item: Render = (node, context, scope) => {
  const styles = styled({ gap: spaceOf(node.gap), "align-items": oneOf(node.align, ALIGNMENTS) });
  if (!actionOf(node.onClickAction)) return html`<li class="row"><div class="content" tabindex="-1" ${styles}>${renderChildren(node, context, scope)}</div></li>`;
  const id = `${context.uid}${scope}-item-${context.plan.numberOf(node)}`;
  const click = (event: Event) => {
    const row = event.currentTarget as HTMLElement;
    const control = (event.target as Element).closest(CONTROLS);
    const source = row.querySelector<HTMLElement>(":scope > .hit")!;
    if (!control || control === source) void context.actions.run(node.onClickAction, { source, loading: "self" });
  };
  // The button lies below the content, so that the content may have controls of its own.
  return html`<li class="row" @click=${click}>
    <button type="button" class="hit" aria-labelledby=${id}></button>
    <div class="content" id=${id} ${styles}>${renderChildren(node, context, scope)}</div>
  </li>`;
};

register({ Card: card, ListView: list, ListViewItem: item });
