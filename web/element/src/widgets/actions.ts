/** Runs the actions of a widget's components: adds the form's values, shows that it runs, and keeps a second click out. */
import type { WidgetAction } from "../chat/chat";
import type { WidgetContext } from "./context";
import { fieldsIn, type Values, valuesOf, withValues } from "./forms";
import { oneOf, recordOf } from "./values";

type Loading = "none" | "self" | "container";

/** Where an action stands, and what shows that it runs if the action leaves that open. */
export interface Trigger {
  source: HTMLElement;
  loading: Loading;
  /** The new value of a field outside a form, by its name. */
  values?: Values;
}

export class ActionRunner {
  private readonly running = new Set<HTMLElement>();
  /** Actions without a stream run one after the other, so that the answer to the last one is shown. */
  private last: Promise<void> = Promise.resolve();

  constructor(
    private readonly context: () => WidgetContext,
    private readonly container: HTMLElement,
  ) {}

  async run(config: unknown, { source, loading, values }: Trigger): Promise<void> {
    const { chat, item } = this.context();
    const action = actionOf(config);
    if (!action || this.running.has(source)) return;
    if (action.handler !== "client" && action.streaming !== false && chat.shown.isResponding) {
      return chat.toast({ level: "info", text: chat.strings.waitForAnswer });
    }
    const form = source.closest("form");
    const filled = withValues(action, form ? valuesOf(fieldsIn(form)) : (values ?? {}));
    if (filled.ignored.length) chat.emit("error", { error: new Error(`The payload of ${action.type} already has ${filled.ignored.join(", ")}.`) });
    const end = this.begin(source, action.loadingBehavior === "auto" ? loading : action.loadingBehavior!);
    const run = () => chat.runAction({ ...action, ...filled.action }, item);
    try {
      await (action.streaming === false ? this.inOrder(run) : run());
    } finally {
      end();
    }
  }

  private inOrder(run: () => Promise<void>): Promise<void> {
    const result = this.last.then(run);
    this.last = result.catch(() => {});
    return result;
  }

  /** These attributes are in no template, so that no render touches them. */
  private begin(source: HTMLElement, loading: Loading): () => void {
    if (loading === "none") return () => {};
    this.running.add(source);
    source.setAttribute("data-busy", "");
    const inert = loading === "container" ? this.container : source.matches("form") ? source : null;
    const focused = inert && ((source.getRootNode() as ShadowRoot | Document).activeElement as HTMLElement | null);
    source.ariaBusy = "true";
    if (inert) inert.inert = true;
    return () => {
      this.running.delete(source);
      source.removeAttribute("data-busy");
      source.ariaBusy = null;
      if (!inert) return;
      inert.inert = false;
      const root = inert.getRootNode() as ShadowRoot | Document;
      if (focused?.isConnected && inert.contains(focused) && !root.activeElement) focused.focus({ preventScroll: true });
    };
  }
}

/** Reads an `ActionConfig`; null for anything else. */
export function actionOf(config: unknown): WidgetAction | null {
  const action = recordOf(config);
  if (!action || typeof action.type !== "string") return null;
  return {
    type: action.type,
    payload: action.payload ?? null,
    handler: action.handler === "client" ? "client" : "server",
    loadingBehavior: oneOf(action.loadingBehavior, ["none", "self", "container"], "auto"),
    streaming: action.streaming !== false,
  };
}
