/** Reads the properties of a component. They come from a model: each may be missing or of any type. */
import type { WidgetNode } from "../protocol/wire";

/** A longer text is cut: nobody reads it, and its layout takes seconds. */
const MAX_TEXT = 100_000;

export function textOf(value: unknown): string {
  if (typeof value === "string") return value.length > MAX_TEXT ? `${value.slice(0, MAX_TEXT)}…` : value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : "";
}

/** Returns null for anything but a number or the digits of one; limits it to the range. */
export function numberOf(value: unknown, min: number, max: number): number | null {
  const number = typeof value === "string" && value.trim() ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) ? Math.min(max, Math.max(min, number)) : null;
}

export function oneOf<const T extends string>(value: unknown, names: readonly T[]): T | undefined;
export function oneOf<const T extends string, const U extends string>(value: unknown, names: readonly T[], otherwise: U): T | U;
export function oneOf(value: unknown, names: readonly string[], otherwise?: string): string | undefined {
  return names.find((name) => name === value) ?? otherwise;
}

export function recordOf(value: unknown): Record<string, unknown> | null {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null;
}

export function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The children of a component; `Transition` has a single one. A plain text stands for a Text. */
export function childrenOf({ children }: WidgetNode): WidgetNode[] {
  const list = Array.isArray(children) ? children : [children];
  return list.flatMap((child) => (typeof child === "string" ? textNode(child) : recordOf(child) ? (child as WidgetNode) : []));
}

const textNodes = new Map<string, WidgetNode>();

/** The same object for the same text, as a component is only rendered again when its object is another one. */
function textNode(value: string): WidgetNode {
  const known = textNodes.get(value);
  if (known) return known;
  if (textNodes.size > 1_000) textNodes.clear();
  const node = { type: "Text", value };
  textNodes.set(value, node);
  return node;
}

/** The name of a form field; an editable Text has it inside `editable`. */
export function fieldNameOf(node: WidgetNode): string {
  if (node.type === "Icon") return "";
  return textOf(recordOf(node.editable)?.name ?? node.name);
}

/** "due_date" as "due date": for controls that have no label. */
export function readable(name: string): string {
  return name.replace(/[._-]+/g, " ").replace(/(\p{Ll})(\p{Lu})/gu, "$1 $2").trim().toLowerCase();
}
