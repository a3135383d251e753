/**
 * `<ck-menu>`: a list to choose from, in a popover. As a `menu` it has the focus; as a `listbox` the focus stays in the
 * input that it belongs to, which passes its keys to `handleKey`. Loaded on demand.
 */
import { css, html, nothing } from "lit";

import { anyIcon } from "./icons/icon";
import { define, Part } from "./part";
import { Popover } from "./popover";

export interface MenuItem {
  id: string;
  label: string;
  description?: string | undefined;
  icon?: string | undefined;
  group?: string | undefined;
  isDisabled?: boolean;
  /** Whether it is chosen now; undefined for an item that is no choice. */
  isChecked?: boolean;
}

/** Keys that follow within this time are one word. */
const TYPING_MS = 700;

let count = 0;

export class Menu extends Part {
  static override properties = {
    ...Part.properties,
    items: { attribute: false },
    anchor: { attribute: false },
    label: { attribute: false },
    kind: { attribute: false },
    align: { attribute: false },
    side: { attribute: false },
    emptyText: { attribute: false },
    onChoose: { attribute: false },
    onClose: { attribute: false },
    activeId: { state: true },
  };
  static override sheet = css`
    ck-menu {
      position: fixed; inset: auto; margin: 0; box-sizing: border-box; overscroll-behavior: contain; z-index: 10;
      &.ck-menu { min-inline-size: 13rem; max-inline-size: min(24rem, calc(100vw - 16px)); }
      &:focus { outline: none; }
      [data-group] { padding: calc(2 * var(--ck-space)) calc(2.5 * var(--ck-space)) var(--ck-space); color: var(--ck-muted); font-size: var(--ck-size-xs); font-weight: 500; }
      .ck-row {
        box-sizing: border-box; cursor: default; user-select: none; scroll-margin: calc(1.5 * var(--ck-space));
        &:hover { background: none; }
        &[data-active] { background: var(--ck-hover); }
        > span { flex: 1; min-inline-size: 0; overflow-wrap: anywhere; }
        small { display: block; color: var(--ck-muted); font-size: var(--ck-size-xs); }
        > svg[data-check] { color: inherit; }
      }
      [data-empty] { padding: calc(2 * var(--ck-space)) calc(2.5 * var(--ck-space)); color: var(--ck-muted); }
      @media (pointer: coarse) { .ck-row { min-block-size: 44px; } }
      @media (forced-colors: active) { .ck-row[data-active] { outline: 2px solid Highlight; outline-offset: -2px; } }
    }
  `;

  declare items: MenuItem[];
  declare anchor: Element | null;
  declare label: string;
  declare kind: "menu" | "listbox";
  declare align: "start" | "end";
  declare side: "top" | "bottom";
  /** Shown where there are no items; without it, an empty menu is hidden. */
  declare emptyText: string;
  declare activeId: string | null;
  declare onChoose: (item: MenuItem) => void;
  declare onClose: () => void;
  private readonly idPrefix = `ck-menu-${++count}`;
  private typed = "";
  private typedAt = -TYPING_MS;

  constructor() {
    super();
    Object.assign(this, { items: [], anchor: null, label: "", kind: "menu", align: "start", side: "top", emptyText: "", onChoose: () => {}, onClose: () => {}, activeId: null });
    new Popover(this, () => ({ anchor: () => this.anchor, close: () => this.onClose(), side: this.side, align: this.align }));
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.id = this.idPrefix;
    this.classList.add("ck-menu");
    this.addEventListener("keydown", this.keyed);
    // The input keeps the focus, and with it the phone's keyboard.
    this.addEventListener("pointerdown", this.held);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.removeEventListener("keydown", this.keyed);
    this.removeEventListener("pointerdown", this.held);
  }

  /** The DOM id of the active option, for `aria-activedescendant`. */
  get activeOptionId(): string | null {
    const index = this.items.findIndex(({ id }) => id === this.activeId);
    return index < 0 ? null : this.optionId(index);
  }

  override willUpdate(changed: Map<string, unknown>) {
    if (!changed.has("items") || this.items.some(({ id, isDisabled }) => id === this.activeId && !isDisabled)) return;
    const choices = this.items.filter(({ isDisabled }) => !isDisabled);
    this.activeId = (choices.find(({ isChecked }) => isChecked) ?? choices[0])?.id ?? null;
  }

  override render() {
    const { items, kind, emptyText, activeOptionId } = this;
    this.role = kind;
    this.ariaLabel = this.label;
    this.hidden = !items.length && !emptyText;
    if (kind === "menu") {
      this.tabIndex = -1;
      if (activeOptionId) this.setAttribute("aria-activedescendant", activeOptionId);
    }
    if (!items.length) return html`<div data-empty role=${kind === "menu" ? "menuitem" : "option"} aria-disabled="true">${emptyText}</div>`;
    const options = items.map((item, index) => ({ group: item.group, option: this.option(item, index) }));
    const firsts = options.flatMap(({ group }, index) => (index && group === options[index - 1]!.group ? [] : index));
    return firsts.map((first, index) => {
      const { group } = options[first]!;
      const members = options.slice(first, firsts[index + 1]).map(({ option }) => option);
      return group ? html`<div role="group" aria-label=${group}><div data-group aria-hidden="true">${group}</div>${members}</div>` : members;
    });
  }

  override firstUpdated() {
    if (this.kind === "menu") this.focus();
  }

  override updated() {
    const { activeOptionId } = this;
    if (activeOptionId) this.querySelector(`#${activeOptionId}`)?.scrollIntoView({ block: "nearest" });
    this.dispatchEvent(new Event("ck-active"));
  }

  /** Returns whether the key was for the menu. */
  handleKey(event: KeyboardEvent): boolean {
    const choices = this.items.filter(({ isDisabled }) => !isDisabled);
    const index = choices.findIndex(({ id }) => id === this.activeId);
    const activate = (next: number) => {
      this.activeId = choices[(next + choices.length) % choices.length]?.id ?? null;
      return true;
    };
    if (event.key === "Escape") {
      this.onClose();
      return true;
    }
    if (!choices.length) return false;
    switch (event.key) {
      case "ArrowDown":
        return activate(index + 1);
      case "ArrowUp":
        return activate(index < 0 ? choices.length - 1 : index - 1);
      case "Tab":
        if (this.kind === "menu") {
          this.onClose();
          return false;
        }
        return !event.shiftKey && this.chooseAt(choices, index); // completes the input
      case "Enter":
        return this.chooseAt(choices, index);
    }
    if (this.kind !== "menu") return false;
    if (event.key === "Home") return activate(0);
    if (event.key === "End") return activate(-1);
    if (event.key === " " && event.timeStamp - this.typedAt > TYPING_MS) return this.chooseAt(choices, index);
    return event.key.length === 1 && !event.ctrlKey && !event.metaKey && !event.altKey && this.typeAhead(event, choices, Math.max(0, index));
  }

  private chooseAt(choices: MenuItem[], index: number): boolean {
    const item = choices[index];
    if (item) this.onChoose(item);
    return Boolean(item);
  }

  private typeAhead({ key, timeStamp }: KeyboardEvent, choices: MenuItem[], index: number): boolean {
    this.typed = timeStamp - this.typedAt < TYPING_MS ? this.typed + key.toLowerCase() : key.toLowerCase();
    this.typedAt = timeStamp;
    const from = this.typed.length === 1 ? index + 1 : index;
    const rotated = [...choices.slice(from), ...choices.slice(0, from)];
    const found = rotated.find(({ label }) => label.toLowerCase().startsWith(this.typed));
    if (found) this.activeId = found.id;
    return true;
  }

  private option(item: MenuItem, index: number) {
    const { id, label, description, isDisabled, isChecked } = item;
    const isMenu = this.kind === "menu";
    const isActive = id === this.activeId;
    return html`<div
      class="ck-row"
      id=${this.optionId(index)}
      role=${isMenu ? (isChecked === undefined ? "menuitem" : "menuitemradio") : "option"}
      aria-checked=${isMenu && isChecked !== undefined ? String(isChecked) : nothing}
      aria-selected=${isMenu ? nothing : String(isActive)}
      aria-disabled=${isDisabled ? "true" : nothing}
      ?data-active=${isActive}
      @pointermove=${() => !isDisabled && (this.activeId = id)}
      @click=${() => !isDisabled && this.onChoose(item)}
    >
      ${item.icon ? anyIcon(item.icon) : nothing}<span>${label}${description ? html`<small>${description}</small>` : nothing}</span>${isChecked ? html`<svg data-check viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" aria-hidden="true"><path d="M20 6 9 17l-5-5"></path></svg>` : nothing}
    </div>`;
  }

  private optionId(index: number): string {
    return `${this.idPrefix}-${index}`;
  }

  private readonly keyed = (event: KeyboardEvent) => {
    if (this.kind !== "menu" || !this.handleKey(event)) return;
    event.preventDefault();
    event.stopPropagation();
  };

  private readonly held = (event: Event) => {
    if (this.kind === "listbox") event.preventDefault();
  };
}

define("ck-menu", Menu);
