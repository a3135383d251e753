/** A message of the user, as the protocol sends it and as the thread shows it until the server has accepted it. */
import type { UserMessageInput, UserMessageItem } from "../protocol/wire";
import type { Conversation } from "./conversation";
import type { UserMessage } from "./draft";

export function inputOf({ text, content, reply, attachments, toolChoice, model }: UserMessage): UserMessageInput {
  return {
    content: content ?? (text ? [{ type: "input_text", text }] : []),
    quoted_text: reply ?? "",
    attachments: (attachments ?? []).map(({ id }) => id),
    inference_options: { ...(toolChoice && { tool_choice: toolChoice }), ...(model && { model }) },
  };
}

export function echoOf(message: UserMessage, conversation: Conversation): UserMessageItem {
  return {
    type: "user_message",
    id: `sending-${performance.now()}`,
    thread_id: conversation.id ?? "",
    created_at: new Date().toISOString(),
    content: message.content ?? [{ type: "input_text", text: message.text ?? "" }],
    attachments: message.attachments ?? [],
    quoted_text: message.reply ?? null,
    inference_options: {},
  };
}
