/** What is offered for the `@` or `/` before the caret: entities of the page, commands of the page and of the composer. */
import type { Command, Entity } from "@openai/chatkit";
import { html, nothing } from "lit";

import type { Menu, MenuItem } from "../menu";
import "../menu";
import { define, Part } from "../part";
import { type BuiltIn, builtInCommands } from "./built-in-commands";
import type { InputExtras, Trigger } from "./input-extras";
import { tagOf } from "./tagged-text";

const SEARCH_WAIT_MS = 120;
const LOADING_WAIT_MS = 250;

interface Suggestion extends MenuItem {
  choose: () => void | Promise<void>;
}

class SuggestionList extends Part {
  static override properties = { ...Part.properties, trigger: { attribute: false }, field: { attribute: false }, found: { state: true }, isLoading: { state: true }, nested: { state: true } };

  declare trigger: Trigger;
  declare field: InputExtras;
  declare private found: Suggestion[];
  declare private isLoading: boolean;
  /** A menu that a command has answered with: it stays until one of it is chosen. */
  declare private nested: Command[] | null;
  private searches = 0;
  private isSearching = false;
  /** Enter was pressed before the search had ended. */
  private choosesFirst = false;
  /** A query that nothing was found for: more words after it find nothing either. */
  private vainQuery: string | null = null;

  constructor() {
    super();
    this.found = [];
    this.isLoading = false;
    this.nested = null;
  }

  override willUpdate(changed: Map<string, unknown>) {
    if (!changed.has("trigger")) return;
    const last = changed.get("trigger") as Trigger | undefined;
    if (last?.sign !== this.trigger.sign || last.start !== this.trigger.start) this.nested = null;
    const { query } = this.trigger;
    if (this.vainQuery !== null && /\s/.test(query) && query.startsWith(this.vainQuery)) return;
    void this.search(last ? SEARCH_WAIT_MS : 0);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.searches++;
    this.field.showActive("", null);
  }

  override render() {
    const { chat, found, isLoading, trigger } = this;
    const { strings } = chat;
    const isTypingOn = /\s/.test(trigger.query); // then it is no search any more
    const emptyText = isLoading ? strings.searching : isTypingOn ? "" : trigger.sign === "@" && !trigger.query ? "" : strings.noSuggestions;
    if (!found.length && !emptyText) return nothing;
    return html`<ck-menu
      .kind=${"listbox"}
      .items=${found}
      .label=${trigger.sign === "@" ? strings.mention : strings.commands}
      .emptyText=${emptyText}
      .anchor=${this.closest("form")}
      .onChoose=${(item: Suggestion) => this.choose(item)}
      .onClose=${() => this.field.dismiss()}
      @ck-active=${this.showActive}
    ></ck-menu>`;
  }

  handleKey(event: KeyboardEvent): boolean {
    const isWaitedFor = this.isSearching && (this.found.length > 0 || !/\s/.test(this.trigger.query));
    if (event.key === "Enter" && isWaitedFor) return (this.choosesFirst = true); // not one of the last query's
    return this.querySelector<Menu>("ck-menu")?.handleKey(event) ?? false;
  }

  private readonly showActive = (event: Event) => {
    const menu = event.target as Menu;
    this.field.showActive(menu.id, menu.activeOptionId);
  };

  private async search(waitMs: number): Promise<void> {
    const number = ++this.searches;
    const isStale = () => number !== this.searches;
    this.isSearching = true;
    this.choosesFirst = false;
    if (waitMs && this.trigger.query) await new Promise((resolve) => setTimeout(resolve, waitMs));
    if (isStale()) return;
    const loading = setTimeout(() => {
      if (!isStale()) this.isLoading = true;
    }, LOADING_WAIT_MS);
    try {
      const found = this.trigger.sign === "@" ? await this.entities() : await this.commands();
      if (!isStale()) this.show(found);
    } catch (error) {
      this.chat.emit("error", { error });
      if (!isStale()) this.show([]);
    } finally {
      clearTimeout(loading);
    }
  }

  private show(found: Suggestion[]): void {
    this.found = found;
    this.isLoading = this.isSearching = false;
    this.vainQuery = found.length ? null : this.trigger.query;
    if (this.choosesFirst && found[0]) this.choose(found[0]);
  }

  private async entities(): Promise<Suggestion[]> {
    const { query } = this.trigger;
    const entities = (await this.chat.options.entities?.onTagSearch?.(query)) ?? [];
    const items = entities.map((entity, index) => ({
      id: `${index} ${entity.id}`,
      label: entity.title,
      icon: entity.icon,
      group: entity.group,
      choose: () => this.insert(entity),
    }));
    return grouped(items);
  }

  private async commands(): Promise<Suggestion[]> {
    const { chat, trigger, nested } = this;
    const wanted = trigger.query.toLowerCase();
    const matches = ({ label }: { label: string }) => label.toLowerCase().includes(wanted);
    if (nested) return grouped(nested.filter(matches).map((command, index) => this.asSuggestion(command, index)));
    const ownOnes = builtInCommands(chat, this.field).filter(matches);
    const offered = (await chat.options.commands?.onSearch?.(trigger.query)) ?? [];
    return [...grouped(offered.map((command, index) => this.asSuggestion(command, index))), ...ownOnes.map((command) => this.asBuiltIn(command))];
  }

  private asSuggestion(command: Command, index: number): Suggestion {
    const { id, label, description, icon, group } = command;
    return { id: `${index} ${id}`, label, description, icon, group, choose: () => this.run(command) };
  }

  private asBuiltIn({ id, label, icon, group, run }: BuiltIn): Suggestion {
    const choose = () => {
      this.removeTrigger();
      run();
    };
    return { id: `built-in ${id}`, label, icon, group, choose };
  }

  private async run(command: Command): Promise<void> {
    const answer = await this.chat.options.commands?.onSelect?.(command);
    if (!this.isConnected) return;
    if (answer?.type === "entity") return this.insert(answer.entity);
    if (answer?.type !== "menu") return this.removeTrigger();
    this.nested = answer.commands;
    this.field.retype(this.trigger);
    this.found = await this.commands();
  }

  private choose(item: Suggestion): void {
    void Promise.resolve(item.choose()).catch((error: Error) => {
      this.removeTrigger();
      this.chat.report(error);
    });
  }

  private insert(entity: Entity): void {
    this.field.insert(tagOf(entity), this.trigger.start, this.trigger.end);
  }

  private removeTrigger(): void {
    this.field.removeTrigger(this.trigger);
  }
}

/** Members of a group one after the other, in the order in which the groups come first. */
function grouped(items: Suggestion[]): Suggestion[] {
  const groups = new Map<string | undefined, Suggestion[]>();
  for (const item of items) groups.set(item.group, [...(groups.get(item.group) ?? []), item]);
  return [...groups.values()].flat();
}

define("ck-suggestions", SuggestionList);
