/** What the user is composing: text with tags, attachments, a quoted text, the chosen tool and model. */
import type { Attachment, ChatKitOptions, OpenAIChatKit, UserMessageContent } from "@openai/chatkit";

import { Observable } from "../observable";

export type ComposerValue = Parameters<OpenAIChatKit["setComposerValue"]>[0];
export type UserMessage = Parameters<OpenAIChatKit["sendUserMessage"]>[0];
type ComposerOptions = NonNullable<ChatKitOptions["composer"]>;

export interface DraftAttachment {
  key: string;
  name: string;
  mimeType: string;
  /** In bytes; null where the page gave an attachment that it has uploaded itself. */
  size: number | null;
  /** Null for files that are no image. */
  previewUrl: string | null;
  /** From 0 to 1; null while it is unknown. */
  progress: number | null;
  /** What the server made of it; null while it uploads or after it failed. */
  attachment: Attachment | null;
  error: string | null;
  /** Sends it again after an error. */
  retry?: () => void;
  /** Ends the upload, and deletes at the server what was uploaded. */
  discard?: () => void;
}

/** What belongs to a thread and comes back with it. */
type Kept = Pick<Draft, "content" | "quote" | "attachments">;

export class Draft extends Observable {
  content: UserMessageContent[] = [];
  quote = "";
  attachments: DraftAttachment[] = [];
  toolId: string | null = null;
  modelId: string | null = null;
  private threadId: string | null = null;
  /** Of sent attachments, should the message come back. */
  private readonly sent = new WeakMap<Attachment, DraftAttachment>();
  /** By thread id; null is the thread that does not exist yet. */
  private readonly kept = new Map<string | null, Kept>();

  constructor(private readonly onToolChange: (toolId: string | null) => void) {
    super();
  }

  get text(): string {
    return this.content.map(({ text }) => text).join("");
  }

  get isEmpty(): boolean {
    return this.attachments.length === 0 && this.content.every((part) => part.type === "input_text" && !part.text.trim());
  }

  get isUploading(): boolean {
    return this.attachments.some(({ attachment, error }) => !attachment && error === null);
  }

  /** Replaces what the parameters name and keeps the rest; `files` are uploaded by `upload()`. */
  set({ text, content, reply, attachments, selectedToolId, selectedModelId }: ComposerValue): void {
    if (content) this.content = content;
    else if (text !== undefined) this.content = text ? [{ type: "input_text", text }] : [];
    if (reply !== undefined) this.quote = reply;
    if (attachments) this.attachments = attachments.map(uploaded);
    if (selectedModelId !== undefined) this.modelId = selectedModelId;
    this.changed();
    if (selectedToolId !== undefined) this.chooseTool(selectedToolId);
  }

  chooseTool(toolId: string | null): void {
    if (toolId === this.toolId) return;
    this.toolId = toolId;
    this.changed();
    this.onToolChange(toolId);
  }

  /** The model that a message is sent with; null where the page offers none. */
  chosenModel({ models = [] }: ComposerOptions): string | null {
    const chosen = models.find(({ id }) => id === this.modelId) ?? models.find((model) => model.default) ?? models.find(({ disabled }) => !disabled);
    return chosen?.id ?? null;
  }

  /** The chosen tool and model, where the page offers them. */
  choices(options: ComposerOptions): Pick<UserMessage, "toolChoice" | "model"> {
    const tool = options.tools?.find(({ id }) => id === this.toolId);
    const model = this.chosenModel(options);
    return { ...(tool && { toolChoice: { id: tool.id } }), ...(model && { model }) };
  }

  /** Returns the message and empties the draft; the model stays chosen, and so does a persistent tool. */
  take(options: ComposerOptions = {}): UserMessage {
    const message: UserMessage = {
      content: trimmed(this.content),
      attachments: this.attachments.flatMap((file) => this.send(file) ?? []),
      ...(this.quote && { reply: this.quote }),
      ...this.choices(options),
    };
    this.content = [];
    this.attachments = [];
    this.quote = "";
    this.changed();
    if (!options.tools?.find(({ id }) => id === this.toolId)?.persistent) this.chooseTool(null);
    return message;
  }

  /** Puts a message that was not accepted back before what was typed since; `threadId` where another thread is shown. */
  giveBack(message: UserMessage, threadId?: string | null): void {
    const target: Kept = threadId === undefined ? this : (this.kept.get(threadId) ?? { content: [], quote: "", attachments: [] });
    const content = message.content ?? (message.text ? [{ type: "input_text", text: message.text } as const] : []);
    const separator = content.length && target.content.length ? [{ type: "input_text", text: "\n" } as const] : [];
    target.content = [...content, ...separator, ...target.content];
    const attachments = (message.attachments ?? []).map((attachment) => this.sent.get(attachment) ?? uploaded(attachment));
    target.attachments = [...attachments, ...target.attachments];
    target.quote ||= message.reply ?? "";
    if (threadId !== undefined) return void this.kept.set(threadId, target);
    this.changed();
    if (message.toolChoice) this.chooseTool(message.toolChoice.id);
  }

  private send(file: DraftAttachment): Attachment | null {
    const { attachment, previewUrl } = file;
    if (!attachment) return null;
    this.sent.set(attachment, { ...file, previewUrl: previewOf(attachment) });
    if (previewUrl?.startsWith("blob:")) URL.revokeObjectURL(previewUrl);
    return attachment;
  }

  /** Keeps what was typed for the last thread and returns to what was typed for this one. */
  showThread(threadId: string | null): void {
    if (threadId === this.threadId) return;
    const { content, quote, attachments } = this;
    if (this.isEmpty && !quote) this.kept.delete(this.threadId);
    else this.kept.set(this.threadId, { content, quote, attachments });
    this.threadId = threadId;
    Object.assign(this, this.kept.get(threadId) ?? { content: [], quote: "", attachments: [] });
    this.kept.delete(threadId);
    this.changed();
  }

  /** The new thread now exists. */
  nameThread(threadId: string): void {
    this.threadId = threadId;
  }
}

/** Without white space around the text; that between a tag and a text stays. */
function trimmed(content: UserMessageContent[]): UserMessageContent[] {
  const parts = content.map((part, index) => {
    if (part.type !== "input_text") return part;
    const text = index === 0 ? part.text.trimStart() : part.text;
    return { ...part, text: index === content.length - 1 ? text.trimEnd() : text };
  });
  return parts.filter((part) => part.type !== "input_text" || part.text);
}

function uploaded(attachment: Attachment): DraftAttachment {
  const { id, name, mime_type } = attachment;
  return { key: id, name, mimeType: mime_type, size: null, previewUrl: previewOf(attachment), progress: 1, attachment, error: null };
}

function previewOf(attachment: Attachment): string | null {
  return attachment.type === "image" ? attachment.preview_url : null;
}
