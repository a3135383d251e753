/**
 * Renders components by their type. A component is rendered again only when its object is another one: the tree has new
 * objects from its root to what has changed. What fails shows its text instead.
 */
import { html, noChange, nothing } from "lit";
import { Directive, directive, type Part } from "lit/directive.js";
import { repeat } from "lit/directives/repeat.js";

import type { WidgetNode } from "../protocol/wire";
import type { Render, WidgetContext } from "./context";
import { childrenOf, fieldNameOf, textOf } from "./values";

const components = new Map<string, Render>();

export function register(renders: Record<string, Render>): void {
  for (const [type, render] of Object.entries(renders)) components.set(type, render);
}

class Node extends Directive {
  private last: { node: WidgetNode; scope: string; version: string } | null = null;

  render(node: WidgetNode, context: WidgetContext, scope: string): unknown {
    try {
      return (components.get(node.type) ?? unknown)(node, context, scope);
    } catch (error) {
      console.error(`ChatKit: a ${textOf(node.type)} cannot be rendered`, error);
      return unknown(node, context, scope);
    }
  }

  override update(_part: Part, [node, context, scope]: [WidgetNode, WidgetContext, string]) {
    const { last } = this;
    if (last && last.node === node && last.scope === scope && last.version === context.version) return noChange;
    this.last = { node, scope, version: context.version };
    return this.render(node, context, scope);
  }
}

export const renderNode = directive(Node);

export function renderChildren(node: WidgetNode, context: WidgetContext, scope: string, own = childrenOf(node)): unknown {
  const children = own.filter((child) => context.plan.shown.has(child));
  if (!children.length) return nothing;
  const keys = keysOf(children);
  return repeat(children, (_child, index) => keys[index], (child) => renderNode(child, context, scope));
}

/** A component of a later version, or one that is broken: its text and its children. */
const unknown: Render = (node, context, scope) => {
  const text = [node.value, node.label, node.title, node.text].map(textOf).find(Boolean);
  return html`<div class="unknown">${text ? html`<p class="text">${text}</p>` : nothing}${renderChildren(node, context, scope)}</div>`;
};

/**
 * What makes a component the same in the next state of the widget, so that it keeps its focus and what the user has typed:
 * its key or id, else its type and name and which of these it is. Keys are unique.
 */
function keysOf(children: WidgetNode[]): string[] {
  const counts = new Map<string, number>();
  return children.map((child) => {
    const key = textOf(child.key ?? child.id) || `${textOf(child.type)} ${fieldNameOf(child)}`;
    const count = (counts.get(key) ?? 0) + 1;
    counts.set(key, count);
    return `${key} ${count}`;
  });
}
