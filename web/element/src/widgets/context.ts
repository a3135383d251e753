/** What the components of one widget share. */
import type { Chat } from "../chat/chat";
import type { WidgetItem, WidgetNode } from "../protocol/wire";
import type { ActionRunner } from "./actions";
import type { Plan } from "./plan";

export interface WidgetContext {
  readonly chat: Chat;
  /** The item that actions belong to; that of a preview has no id. */
  readonly item: WidgetItem;
  /** Unique in the element: prefix of ids and of the names of radio buttons. */
  readonly uid: string;
  readonly plan: Plan;
  /** Changes when all components must render again. */
  readonly version: string;
  /** It has come with a response that the user watches, not from the history: it may take the focus. */
  readonly isNew: boolean;
  readonly actions: ActionRunner;
  /** Lists that show all their items. */
  readonly openLists: Set<string>;
  /** Renders everything again. */
  refresh(): Promise<unknown>;
}

/**
 * Renders one type of component. `scope` is the place of its form, for ids: two forms of a widget may have fields of the
 * same name.
 */
export type Render = (node: WidgetNode, context: WidgetContext, scope: string) => unknown;
