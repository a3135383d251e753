/** `<ck-widget>`: a widget of the thread, or with `.widget` one of the page. Loaded with the first widget. */
import { html, nothing } from "lit";

import type { ShownItem } from "../chat/conversation";
import "../icons/icon";
import "../markdown/markdown";
import { Watch } from "../observable";
import { define, Part } from "../part";
import type { WidgetItem, WidgetNode, WidgetRoot } from "../protocol/wire";
import { ActionRunner } from "./actions";
import "./boxes";
import "./buttons";
import "./chart";
import "./choices";
import type { WidgetContext } from "./context";
import "./fields";
import "./media";
import { renderNode } from "./node";
import { Plan } from "./plan";
import "./roots";
import { widgetSheet } from "./sheet";
import "./tables";
import "./texts";
import { recordOf, textOf } from "./values";

/** Most components that are shown at once; a button shows as many more. */
const LIMIT = 1_500;

let count = 0;

class Widget extends Part implements WidgetContext {
  static override properties = { ...Part.properties, shown: { attribute: false }, widget: { attribute: false } };
  static override sheet = widgetSheet;

  declare shown: ShownItem | undefined;
  /** Of a preview, which is no item of the thread. */
  declare widget: WidgetRoot | undefined;

  readonly actions = new ActionRunner(() => this, this);
  readonly uid = `w${++count}`;
  readonly openLists = new Set<string>();
  plan = new Plan({ type: "Basic" }, LIMIT);
  version = "";
  isNew = false;
  private limit = LIMIT;
  private changes = 0;
  private hadFocus = false;
  private planned: WidgetNode | null = null;
  private signature = "";
  private readonly watch = new Watch(this, null);
  /** For another language, or other domains of images. */
  private readonly chatWatch = new Watch(this, null);

  get item(): WidgetItem {
    const item = this.shown?.item;
    return item?.type === "widget" ? item : { type: "widget", id: "", thread_id: "", created_at: "", widget: this.widget! };
  }

  refresh(): Promise<unknown> {
    this.changes++;
    this.planned = null;
    this.requestUpdate();
    return this.updateComplete;
  }

  override willUpdate() {
    this.watch.watch(this.shown ?? null);
    this.chatWatch.watch(this.chat);
    if (!this.hasUpdated) this.isNew = Boolean(this.shown?.isOpen || this.chat.shown.isResponding);
    this.hadFocus = this.contains(this.focused);
  }

  /** A button that an answer removes must not take the focus with it: the next Tab goes on from here. */
  override updated() {
    if (!this.hadFocus || this.focused) return;
    this.tabIndex = -1;
    this.focus({ preventScroll: true });
  }

  private get focused(): Element | null {
    return (this.getRootNode() as ShadowRoot | Document).activeElement;
  }

  override render() {
    const root = recordOf(this.item.widget) as WidgetNode | null;
    if (!root) return html`<p class="text">${textOf(this.item.copy_text)}</p>`;
    if (root !== this.planned) this.makePlan(root);
    const { locale, shown, strings } = this.chat;
    this.version = JSON.stringify([this.signature, this.changes, locale, shown.thread?.allowed_image_domains]);
    return html`${renderNode(root, this, "")}
    ${this.plan.isCut ? html`<button type="button" class="more" @click=${() => this.showMore()}>${strings.showMore}</button>` : nothing}
    ${this.plan.isTooDeep ? html`<p class="caption" data-size="md">${strings.widgetTooDeep}</p>` : nothing}`;
  }

  private makePlan(root: WidgetNode): void {
    this.planned = root;
    this.plan = new Plan(root, this.limit);
    this.signature = this.plan.signature;
  }

  private showMore(): void {
    this.limit += LIMIT;
    void this.refresh();
  }
}

define("ck-widget", Widget);
