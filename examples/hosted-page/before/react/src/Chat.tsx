import { ChatKit, useChatKit } from "@openai/chatkit-react";

async function getClientSecret() {
  const response = await fetch("/api/chatkit/session", { method: "POST" });
  if (response.status === 401) location.assign("/login");
  if (!response.ok) throw new Error(`No session: ${response.status}`);
  return (await response.json()).client_secret;
}

export function Chat() {
  const chat = useChatKit({
    api: { getClientSecret },
    history: { enabled: true },
    composer: { attachments: { enabled: true } },
    startScreen: { greeting: "How can we help?", prompts: [{ label: "My order", prompt: "Where is my order?" }] },
  });
  return <ChatKit control={chat.control} className="chat" />;
}
