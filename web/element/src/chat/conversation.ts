/** The state of one thread: its items, and what its running response shows. Applies stream events to it. */
import { Observable } from "../observable";
import { contentOf, imageOf, isAnnotation, isObject, itemOf, taskOf } from "../protocol/normalise";
import type { ItemUpdate, NoticeEvent, OutputText, ProgressUpdate, StreamEvent, ThreadItem, ThreadMetadata, WidgetNode } from "../protocol/wire";

/** An item of the thread. A token changes only its own item, so only that one renders again. */
export class ShownItem extends Observable {
  /** Of a generated image, from 0 to 1; null if unknown. */
  progress: number | null = null;

  /** Identifies its component, also when the sent message gets the server's id. */
  readonly key: string;

  constructor(
    public item: ThreadItem,
    /** More of it will arrive. */
    public isOpen: boolean,
  ) {
    super();
    this.key = item.id;
  }

  replace(item: ThreadItem, isOpen: boolean): void {
    this.item = item;
    this.isOpen = isOpen;
    this.changed();
  }
}

const MAX_NOTICES = 20;

export interface Failure {
  message: string;
  code: string | null;
  allowRetry: boolean;
  /** What Retry does: answers the last message again, shows the running answer again, or loads the thread again. */
  retries: "answer" | "connection" | "load";
}

/** Changes when items come and go and when the state of the response changes, not for each token. */
export class Conversation extends Observable {
  readonly items = new Map<string, ShownItem>();
  thread: ThreadMetadata | null = null;
  /** A response is running: the composer is blocked, Stop shows if `mayCancel`. */
  isResponding = false;
  mayCancel = false;
  /** How many responses have begun in this session; what was asked before the last one is out of date. */
  responseCount = 0;
  /** The user has stopped the last response. */
  isStopped = false;
  progress: ProgressUpdate | null = null;
  notices: NoticeEvent[] = [];
  failure: Failure | null = null;
  /** The key of the message that the user has sent last. */
  sentKey: string | null = null;
  /** The rating of a turn in this session, by the key of its first item. */
  readonly ratings = new Map<string, "positive" | "negative">();

  constructor(thread: ThreadMetadata | null = null, items: ThreadItem[] = []) {
    super();
    this.thread = thread;
    for (const item of items) if (item.type !== "client_tool_call") this.items.set(item.id, new ShownItem(item, false));
  }

  get id(): string | null {
    return this.thread?.id ?? null;
  }

  get lastUserMessage(): ShownItem | null {
    return [...this.items.values()].findLast(({ item }) => item.type === "user_message") ?? null;
  }

  /** The question that waits for an answer; it replaces the composer. */
  get pendingQuestion(): ShownItem | null {
    const shown = [...this.items.values()].findLast(({ item }) => item.type === "structured_input");
    return shown?.item.type === "structured_input" && shown.item.status === "pending" && !shown.isOpen ? shown : null;
  }

  /** Whether an item that began to arrive has not ended. */
  get hasOpenItems(): boolean {
    for (const { isOpen } of this.items.values()) if (isOpen) return true;
    return false;
  }

  /** Removes what follows a user message, as the server does before it answers again; returns the removed items. */
  cutAfter(itemId: string): ShownItem[] {
    const all = [...this.items.values()];
    const cut = all.slice(all.findIndex(({ item }) => item.id === itemId) + 1);
    for (const { item } of cut) this.items.delete(item.id);
    this.changed();
    return cut;
  }

  /** Shows items again at the end. */
  restore(cut: ShownItem[]): void {
    for (const shown of cut) this.items.set(shown.item.id, shown);
    this.changed();
  }

  /** Shows a message until the server's own item replaces it. */
  echo(item: ThreadItem): ShownItem {
    const shown = new ShownItem(item, false);
    this.sentKey = shown.key;
    this.items.set(item.id, shown);
    this.changed();
    return shown;
  }

  /** Replaces the echo by the server's item, in place. */
  confirm(echo: ShownItem, item: ThreadItem): void {
    const all = [...this.items.values()];
    echo.replace(item, false);
    this.items.clear();
    for (const shown of all) this.items.set(shown.item.id, shown);
    this.changed();
  }

  remove(shown: ShownItem): void {
    if (this.items.get(shown.item.id) === shown) this.items.delete(shown.item.id);
    this.changed();
  }

  /** Replaces all items by those of the server, keeping the components of unchanged ones. */
  reload(thread: ThreadMetadata, items: ThreadItem[]): void {
    this.thread = thread;
    const kept = new Map(this.items);
    this.items.clear();
    for (const item of items) {
      if (item.type === "client_tool_call") continue;
      const shown = kept.get(item.id) ?? new ShownItem(item, false);
      if (JSON.stringify(shown.item) !== JSON.stringify(item)) shown.replace(item, false);
      this.items.set(item.id, shown);
    }
    this.changed();
  }

  /** Applies an event, except for those that are about more than this thread (`Chat` handles these). */
  apply(event: StreamEvent): void {
    switch (event.type) {
      case "thread.item.updated":
        return this.update(event.item_id, event.update);
      case "thread.created":
      case "thread.updated":
        if (typeof event.thread?.id === "string") this.thread = { ...this.thread, ...event.thread };
        break;
      case "stream_options":
        this.mayCancel = Boolean(event.stream_options?.allow_cancel);
        break;
      case "progress_update":
        this.progress = event.text ? event : null;
        break;
      case "notice":
        if (this.notices.length < MAX_NOTICES) this.notices = [...this.notices, event];
        break;
      case "thread.item.added":
        this.set(itemOf(event.item), true);
        break;
      case "thread.item.done":
        this.set(itemOf(event.item), false);
        break;
      case "thread.item.replaced": {
        const item = itemOf(event.item);
        if (item) this.items.get(item.id)?.replace(item, false);
        break;
      }
      case "thread.item.removed":
        this.items.delete(event.item_id);
        break;
      default:
        return; // an event of a later version
    }
    this.changed();
  }

  /** The stream has ended: nothing more arrives. */
  close(): void {
    for (const shown of this.items.values()) if (shown.isOpen) shown.replace(shown.item, false);
    this.isResponding = false;
    this.mayCancel = false;
    this.progress = null;
    this.changed();
  }

  private set(item: ThreadItem | null, isOpen: boolean): void {
    if (!item || item.type === "client_tool_call") return; // `Responses` runs the call; nothing shows it
    if (item.type !== "user_message") this.progress = null;
    const shown = this.items.get(item.id);
    if (shown) shown.replace(item, isOpen);
    else this.items.set(item.id, new ShownItem(item, isOpen));
  }

  private update(itemId: string, update: ItemUpdate): void {
    const shown = this.items.get(itemId);
    if (!shown || !isObject(update)) return;
    if (this.progress) {
      this.progress = null;
      this.changed();
    }
    applyUpdate(shown, update);
    shown.changed();
  }
}

function applyUpdate(shown: ShownItem, update: ItemUpdate): void {
  const { item } = shown;
  switch (update.type) {
    case "assistant_message.content_part.text_delta":
      if (item.type === "assistant_message" && typeof update.delta === "string") partOf(item.content, update.content_index).text += update.delta;
      return;
    case "assistant_message.content_part.added":
    case "assistant_message.content_part.done":
      if (item.type === "assistant_message") item.content[place(update.content_index, item.content)] = contentOf(update.content);
      return;
    case "assistant_message.content_part.annotation_added":
      if (item.type === "assistant_message" && isAnnotation(update.annotation)) addAnnotation(partOf(item.content, update.content_index), update);
      return;
    case "widget.streaming_text.value_delta":
    case "widget.component.updated":
    case "widget.root.updated":
      if (item.type === "widget") shown.item = { ...item, widget: updatedWidget(item.widget as WidgetNode, update) as typeof item.widget };
      return;
    case "workflow.task.added":
    case "workflow.task.updated":
      if (item.type === "workflow") item.workflow.tasks[place(update.task_index, item.workflow.tasks)] = taskOf(update.task);
      return;
    case "generated_image.updated":
      if (item.type === "generated_image") item.image = imageOf(update.image) ?? item.image ?? null;
      shown.progress = typeof update.progress === "number" ? update.progress : null;
  }
}

/** The index, or the next free one: a hole in a list would break those who render it. */
function place(index: unknown, list: unknown[]): number {
  return Number.isInteger(index) && (index as number) >= 0 && (index as number) < list.length ? (index as number) : list.length;
}

function partOf(content: OutputText[], index: number): OutputText {
  const isNext = index === content.length || !content.length;
  return (content[isNext ? content.length : Math.min(index, content.length - 1)] ??= { type: "output_text", text: "", annotations: [] });
}

/** A new list, as its component compares lists by identity. */
function addAnnotation(part: OutputText, { annotation, annotation_index }: { annotation: OutputText["annotations"][number]; annotation_index: number }): void {
  part.annotations = [...part.annotations];
  part.annotations[place(annotation_index, part.annotations)] = annotation;
}

type WidgetUpdate = Extract<ItemUpdate, { type: `widget.${string}` }>;

/** Returns the tree with new objects from the root to the changed component: the others keep their identity. */
function updatedWidget(root: WidgetNode, update: WidgetUpdate): WidgetNode {
  if (update.type === "widget.root.updated") return isObject(update.widget) ? (update.widget as WidgetNode) : root;
  const change = (node: WidgetNode): WidgetNode =>
    update.type === "widget.component.updated" ? (isObject(update.component) ? update.component : node) : { ...node, value: String(node.value ?? "") + update.delta, streaming: !update.done };
  return changedAt(root, update.component_id, change) ?? root;
}

/** Returns null if the component is not below the node. */
function changedAt(node: WidgetNode, id: string, change: (node: WidgetNode) => WidgetNode): WidgetNode | null {
  if (node.id === id) return change(node);
  const { children } = node as { children?: WidgetNode | WidgetNode[] };
  if (!children || typeof children !== "object") return null;
  if (!Array.isArray(children)) {
    const changed = changedAt(children, id, change);
    return changed && { ...node, children: changed };
  }
  for (const [index, child] of children.entries()) {
    const changed = child && changedAt(child, id, change);
    if (changed) return { ...node, children: children.with(index, changed) };
  }
  return null;
}
