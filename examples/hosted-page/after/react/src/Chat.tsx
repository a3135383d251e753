import { ChatKit, useChatKit } from "@openai/chatkit-react";
import { withClientSecret } from "./session";

async function getClientSecret() {
  const response = await fetch("/api/chatkit/session", { method: "POST" });
  if (response.status === 401) location.assign("/login");
  if (!response.ok) throw new Error(`No session: ${response.status}`);
  return (await response.json()).client_secret;
}

const fetchWithSecret = withClientSecret(getClientSecret, { url: "http://localhost:8000/chatkit" });

export function Chat() {
  const chat = useChatKit({
    api: { url: "http://localhost:8000/chatkit", domainKey: "local", fetch: fetchWithSecret, uploadStrategy: { type: "two_phase" } },
    history: { enabled: true },
    composer: { attachments: { enabled: true } },
    startScreen: { greeting: "How can we help?", prompts: [{ label: "My order", prompt: "Where is my order?" }] },
  });
  return <ChatKit control={chat.control} className="chat" />;
}
