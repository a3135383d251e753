/** Uploads files, directly or in two phases, as the options say. */
import type { Chat } from "../chat/chat";

export async function upload(chat: Chat, files: File[]): Promise<void> {
  console.warn("not built yet", chat, files);
}
