/**
 * The buttons beside Send: `<ck-add-tools>` for files, tools and mentions, `<ck-choices>` for the model and dictation.
 * Loaded where the options ask for one of them.
 */
import type { ModelOption, ToolOption } from "@openai/chatkit";
import { html, nothing } from "lit";

import { icon } from "../icons/core";
import { anyIcon } from "../icons/icon";
import { demanded, lazy, whenIdle } from "../lazy";
import type { MenuItem } from "../menu";
import { Watch } from "../observable";
import { define, Part } from "../part";
import type { Composer } from "./composer";

const ATTACH = "attach";
const menu = () => import("../menu");

/** Buttons of which one opens a menu. */
abstract class Toolbar extends Part {
  static override properties = { ...Part.properties, isLocked: { attribute: false }, isOpen: { state: true } };

  declare isLocked: boolean;
  declare protected isOpen: boolean;
  private readonly watch = new Watch(this, null);

  constructor() {
    super();
    this.isLocked = false;
    this.isOpen = false;
  }

  protected get composer(): Composer {
    return this.closest<Composer>("ck-composer")!;
  }

  protected get options() {
    return this.chat.options.composer ?? {};
  }

  override willUpdate() {
    this.watch.watch(this.chat.draft);
  }

  override firstUpdated() {
    whenIdle(() => lazy(menu)); // before a lost connection can prevent it
  }

  protected async toggle(): Promise<void> {
    if (this.isOpen || (await demanded(this.chat, menu))) this.isOpen = !this.isOpen;
  }

  protected menu(label: string, align: "start" | "end", items: MenuItem[], choose: (item: MenuItem) => void) {
    if (!this.isOpen) return nothing;
    const anchor = this.querySelector<HTMLElement>("[aria-haspopup]");
    const close = () => {
      const hadFocus = this.querySelector("ck-menu")?.matches(":focus-within");
      this.isOpen = false;
      if (hadFocus) anchor?.focus();
    };
    const chosen = (item: MenuItem) => {
      this.isOpen = false;
      choose(item);
    };
    return html`<ck-menu .items=${items} .label=${label} .anchor=${anchor} .align=${align} .onChoose=${chosen} .onClose=${close}></ck-menu>`;
  }
}

class AddTools extends Toolbar {
  override render() {
    const { isLocked, isOpen } = this;
    const { strings, draft, options } = this.chat;
    const { tools = [], attachments } = this.options;
    const chosen = tools.find(({ id }) => id === draft.toolId);
    const { onTagSearch, showComposerMenu } = options.entities ?? {};
    return html`${tools.some(({ pinned }) => !pinned)
      ? html`<button type="button" class="ck-icon-button" aria-label=${strings.addToMessage} aria-haspopup="menu" aria-expanded=${isOpen} ?disabled=${isLocked} @click=${() => this.toggle()}>${icon("plus")}</button>`
      : attachments?.enabled
        ? html`<button type="button" class="ck-icon-button" aria-label=${strings.attachFiles} ?disabled=${isLocked} @click=${() => this.composer.attach()}>${icon("plus")}</button>`
        : nothing}
    ${onTagSearch && showComposerMenu ? html`<button type="button" class="ck-icon-button" aria-label=${strings.mention} ?disabled=${isLocked} @click=${() => this.composer.input.extras?.mention()}>${icon("at")}</button>` : nothing}
    ${tools
      .filter(({ pinned }) => pinned)
      .map(
        (tool) =>
          html`<button type="button" class="ck-button quiet" data-pill title=${tool.label} aria-pressed=${tool === chosen} ?disabled=${isLocked} @click=${() => this.switch(tool)}>${anyIcon(tool.icon)}<span>${tool.shortLabel ?? tool.label}</span></button>`,
      )}
    ${chosen && !chosen.pinned
      ? html`<button type="button" class="ck-button quiet" data-pill data-chosen aria-label=${strings.removeTool(chosen.label)} @click=${() => this.switch(chosen)}>${anyIcon(chosen.icon)}<span>${chosen.shortLabel ?? chosen.label}</span>${icon("close")}</button>`
      : nothing}
    ${this.menu(strings.addToMessage, "start", this.items(chosen), this.choose)}`;
  }

  private items(chosen: ToolOption | undefined): MenuItem[] {
    const { attachments, tools = [] } = this.options;
    const attach = attachments?.enabled ? [{ id: ATTACH, label: this.chat.strings.attachFiles, icon: "paperclip" }] : [];
    const others = tools.filter(({ pinned }) => !pinned);
    return [...attach, ...others.map((tool) => ({ id: `tool ${tool.id}`, label: tool.label, icon: tool.icon, isChecked: tool === chosen }))];
  }

  private readonly choose = ({ id }: MenuItem) => {
    const tool = this.options.tools?.find((tool) => `tool ${tool.id}` === id);
    if (tool) this.switch(tool);
    else this.composer.attach();
  };

  private switch(tool: ToolOption): void {
    const { draft } = this.chat;
    draft.chooseTool(draft.toolId === tool.id ? null : tool.id);
    this.composer.focusInput();
  }
}

class Choices extends Toolbar {
  override render() {
    const { strings, draft } = this.chat;
    const { models = [], dictation } = this.options;
    const chosen = models.find(({ id }) => id === draft.chosenModel(this.options));
    return html`${chosen && models.length > 1
      ? html`<button type="button" class="ck-button quiet" data-pill data-model aria-label=${strings.modelIs(chosen.label)} aria-haspopup="menu" aria-expanded=${this.isOpen} @click=${() => this.toggle()}><span>${chosen.label}</span>${icon("chevron-down")}</button>`
      : nothing}
    ${dictation?.enabled ? html`<button type="button" class="ck-icon-button" aria-label=${strings.dictate} ?disabled=${this.isLocked} @click=${() => this.composer.dictate()}>${icon("mic")}</button>` : nothing}
    ${this.menu(strings.models, "end", models.map((model) => asItem(model, chosen)), this.choose)}`;
  }

  private readonly choose = ({ id }: MenuItem) => {
    this.chat.draft.set({ selectedModelId: id });
    this.composer.focusInput();
  };
}

function asItem(model: ModelOption, chosen: ModelOption | undefined): MenuItem {
  const { id, label, description, disabled } = model;
  return { id, label, description, isDisabled: Boolean(disabled), isChecked: model === chosen };
}

define("ck-add-tools", AddTools);
define("ck-choices", Choices);
