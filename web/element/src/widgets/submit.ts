/** The submit event of a Form, or of a Card that is one. */
import type { WidgetContext } from "./context";
import { validate } from "./forms";

/** The actions of submit buttons: they run where the form itself has none. */
const buttonActions = new WeakMap<Element, unknown>();

export function setSubmitAction(button: Element, action: unknown): void {
  buttonActions.set(button, action);
}

export function onSubmit(context: WidgetContext, action: unknown, loading: "self" | "container"): (event: SubmitEvent) => void {
  return (event) => {
    event.preventDefault();
    event.stopPropagation();
    const form = event.currentTarget as HTMLFormElement;
    const { submitter } = event;
    if (validate(form, context.chat.strings)) void context.actions.run(action ?? (submitter && buttonActions.get(submitter)), { source: form, loading });
  };
}
