/** What the user is composing: text with tags, attachments, a quoted text, the chosen tool and model. */
import type { Attachment, OpenAIChatKit, UserMessageContent } from "@openai/chatkit";

import { Observable } from "../observable";

export type ComposerValue = Parameters<OpenAIChatKit["setComposerValue"]>[0];
export type UserMessage = Parameters<OpenAIChatKit["sendUserMessage"]>[0];

export interface DraftAttachment {
  key: string;
  name: string;
  mimeType: string;
  /** Shown until the server's own preview is there; null for files. */
  previewUrl: string | null;
  /** From 0 to 1. */
  progress: number;
  /** What the server made of it; null while it uploads or after it failed. */
  attachment: Attachment | null;
  error: string | null;
}

export class Draft extends Observable {
  content: UserMessageContent[] = [];
  quote = "";
  attachments: DraftAttachment[] = [];
  toolId: string | null = null;
  modelId: string | null = null;

  get isEmpty(): boolean {
    return this.attachments.length === 0 && this.content.every((part) => part.type === "input_text" && !part.text.trim());
  }

  get isUploading(): boolean {
    return this.attachments.some(({ attachment, error }) => !attachment && error === null);
  }

  /** Replaces what the parameters name and keeps the rest; `files` are uploaded by `Uploads`. */
  set({ text, content, reply, attachments, selectedToolId, selectedModelId }: ComposerValue): void {
    if (content) this.content = content;
    else if (text !== undefined) this.content = text ? [{ type: "input_text", text }] : [];
    if (reply !== undefined) this.quote = reply;
    if (attachments) this.attachments = attachments.map(uploaded);
    if (selectedToolId !== undefined) this.toolId = selectedToolId;
    if (selectedModelId !== undefined) this.modelId = selectedModelId;
    this.changed();
  }

  /** Returns the message and empties the draft; the model stays chosen, the tool only if `keepTool`. */
  take(keepTool: boolean): UserMessage {
    const message: UserMessage = {
      content: this.content,
      attachments: this.attachments.flatMap(({ attachment }) => attachment ?? []),
      ...(this.quote && { reply: this.quote }),
      ...(this.toolId && { toolChoice: { id: this.toolId } }),
      ...(this.modelId && { model: this.modelId }),
    };
    this.content = [];
    this.attachments = [];
    this.quote = "";
    if (!keepTool) this.toolId = null;
    this.changed();
    return message;
  }
}

function uploaded(attachment: Attachment): DraftAttachment {
  const { id, name, mime_type } = attachment;
  const previewUrl = attachment.type === "image" ? attachment.preview_url : null;
  return { key: id, name, mimeType: mime_type, previewUrl, progress: 1, attachment, error: null };
}
