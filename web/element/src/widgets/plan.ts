/** What of a widget is shown, and what its components must know of each other. Made again when the widget changes. */
import type { WidgetNode } from "../protocol/wire";
import { childrenOf, fieldNameOf, recordOf, textOf } from "./values";

/** Deeper components are left out: each level costs stack and layout. */
const MAX_DEPTH = 40;

export class Plan {
  readonly shown = new Set<WidgetNode>();
  /** Names of the fields that have a Label. */
  readonly labelled = new Set<string>();
  /** Names of the fields that must be filled. */
  readonly required = new Set<string>();
  /** Forms and rows by their order, for ids. */
  private readonly numbers = new Map<WidgetNode, number>();
  /** The widget has more components than the limit. */
  isCut = false;
  isTooDeep = false;

  constructor(root: WidgetNode, limit: number) {
    const rest: [node: WidgetNode, depth: number][] = [[root, 0]];
    for (let next = rest.pop(); next; next = rest.pop()) {
      if (this.shown.size >= limit) {
        this.isCut = true;
        return;
      }
      const [node, depth] = next;
      this.shown.add(node);
      this.note(node);
      if (depth === MAX_DEPTH) {
        this.isTooDeep ||= childrenOf(node).length > 0;
        continue;
      }
      const children = childrenOf(node);
      for (let index = children.length - 1; index >= 0; index--) rest.push([children[index]!, depth + 1]);
    }
  }

  /** Equal for plans after which no component looks different. */
  get signature(): string {
    return JSON.stringify([[...this.labelled], [...this.required], this.isCut]);
  }

  numberOf(node: WidgetNode): number {
    return this.numbers.get(node) ?? 0;
  }

  private note(node: WidgetNode): void {
    if (node.type === "Form" || node.type === "Card" || node.type === "ListViewItem") this.numbers.set(node, this.numbers.size);
    if (node.type === "Label") this.labelled.add(textOf(node.fieldName));
    const name = fieldNameOf(node);
    if (name && (node.required === true || recordOf(node.editable)?.required === true)) this.required.add(name);
  }
}
