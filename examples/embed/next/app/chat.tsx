"use client";

/** The element exists in browsers only; the server renders its empty tag. */
import { ChatKit, useChatKit } from "@openai/chatkit-react";

export function Chat({ initialThread }: { initialThread: string | null }) {
  const chat = useChatKit({
    api: { url: "/chatkit", domainKey: "local", uploadStrategy: { type: "two_phase" } },
    initialThread,
    history: { enabled: true },
    composer: { attachments: { enabled: true } },
    startScreen: { greeting: "What can I do for you?", prompts: [{ label: "Say hello", prompt: "Hello! Who are you?" }] },
    onThreadChange({ threadId }) {
      history.replaceState(history.state, "", threadId ? `?thread=${threadId}` : location.pathname);
    },
  });
  return <ChatKit control={chat.control} className="chat" />;
}
