/** As `ChatKit` of @openai/chatkit-react, for either name of the element. It must be defined already. */
import type { ChatKitControl } from "@openai/chatkit-react";
import type { OpenAIChatKit } from "@openai/chatkit";
import { createElement, useCallback, useLayoutEffect, useRef } from "react";

import type { Tag } from "./openScript";

interface Props {
  tag: Tag;
  control: ChatKitControl;
  className: string;
}

export function ChatElement({ tag, control: { options, handlers, setInstance }, className }: Props) {
  const element = useRef<OpenAIChatKit>(null);
  const ref = useCallback(
    (instance: OpenAIChatKit | null) => {
      element.current = instance;
      setInstance(instance);
    },
    [setInstance],
  );

  // First: what `setOptions` dispatches must be heard.
  useLayoutEffect(() => {
    const listening = new AbortController();
    for (const [name, handler] of Object.entries(handlers)) {
      const listener = (event: Event) => (handler as (detail: unknown) => void)((event as CustomEvent).detail);
      element.current?.addEventListener(eventOf(name), listener, { signal: listening.signal });
    }
    return () => listening.abort();
  }, [handlers]);

  useLayoutEffect(() => element.current?.setOptions(options), [options]);

  return createElement(tag, { ref, className });
}

/** `onThreadLoadEnd` handles `chatkit.thread.load.end`. */
function eventOf(handlerName: string): string {
  return `chatkit${handlerName.slice(2).replace(/[A-Z]/g, (letter) => `.${letter.toLowerCase()}`)}`;
}
