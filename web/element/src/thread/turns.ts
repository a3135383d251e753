/** Groups the items of a thread into turns: a message of the user and all that answers it. */
import type { ShownItem } from "../chat/conversation";
import { isVisible } from "./item";

export interface Turn {
  key: string;
  items: ShownItem[];
}

export function turnsOf(items: Iterable<ShownItem>): Turn[] {
  const turns: Turn[] = [];
  for (const shown of items) {
    if (!isVisible(shown)) continue;
    const last = turns.at(-1);
    if (last && shown.item.type !== "user_message") last.items.push(shown);
    else turns.push({ key: shown.key, items: [shown] });
  }
  return turns;
}

/** What Copy copies of an answer. */
export function copyTextOf(items: ShownItem[]): string {
  const texts = items.map(({ item }) => {
    if (item.type === "assistant_message") return item.content.map(({ text }) => text).join("\n\n");
    return item.type === "widget" ? (item.copy_text ?? "") : "";
  });
  return texts.filter(Boolean).join("\n\n");
}
