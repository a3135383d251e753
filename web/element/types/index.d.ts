/**
 * Importing this package defines `<openai-chatkit>` and, as the same element under a name that OpenAI's script does not
 * take, `<open-chatkit>`. Options, methods and events are those of `@openai/chatkit`.
 */
import type { OpenAIChatKit } from "@openai/chatkit";

export * from "@openai/chatkit";

/** The element; `implementation` tells it apart from OpenAI's. */
export interface OpenChatKit extends OpenAIChatKit {
  readonly implementation: "open";
}

declare global {
  interface HTMLElementTagNameMap {
    "open-chatkit": OpenChatKit;
  }
}
