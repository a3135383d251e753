/** The chat, with OpenAI's own React package. It drives either element. */
import { ChatKit, useChatKit } from "@openai/chatkit-react";
import { useState } from "react";

const CHAT = "http://localhost:8000";

/** With the cookie that tells the server who the user is. */
const withCookie: typeof fetch = (input, init) => fetch(input, { ...init, credentials: "include" });

export function Chat() {
  const [initialThread] = useState(() => new URL(location.href).searchParams.get("thread"));
  const chat = useChatKit({
    api: { url: `${CHAT}/chatkit`, domainKey: "local", fetch: withCookie, uploadStrategy: { type: "two_phase" } },
    initialThread,
    history: { enabled: true },
    composer: { attachments: { enabled: true } },
    theme: { colorScheme: "light", color: { accent: { primary: "#7c3aed", level: 2 } } },
    startScreen: { greeting: "What can I do for you?", prompts: [{ label: "Say hello", prompt: "Hello! Who are you?" }] },
    onThreadChange({ threadId }) {
      history.replaceState(null, "", threadId ? `?thread=${threadId}` : location.pathname);
    },
    onError({ error }) {
      console.error(error);
    },
  });
  return <ChatKit control={chat.control} className="chat" />;
}
