/** Uploads files for the draft, directly or in two phases, as the options say. Loaded with the first file. */
import type { Attachment } from "@openai/chatkit";

import type { Chat } from "../chat/chat";
import type { DraftAttachment } from "../chat/draft";
import { RequestError } from "../protocol/client";
import { sorted, UNKNOWN_TYPE } from "./limits";
import { sendFile } from "./send-file";

/** As many at once, so that a free connection is left for the chat. */
const LANES = 3;

interface UploadDescriptor {
  url: string;
  method: "POST" | "PUT";
  headers?: Record<string, string>;
}

type CreatedAttachment = Attachment & { upload_descriptor?: UploadDescriptor | null };

const lanes = Array.from({ length: LANES }, () => Promise.resolve());
let count = 0;

/** Attaches the files that the options accept; resolves when all uploads have ended. */
export async function upload(chat: Chat, files: File[]): Promise<void> {
  const { draft, strings, locale } = chat;
  const { accepted, reasons } = sorted(files, draft.attachments.length, chat.options.composer?.attachments ?? { enabled: true }, strings, locale);
  for (const text of reasons) chat.toast({ level: "warning", text });
  const uploads = accepted.map((file) => new Upload(chat, file));
  draft.attachments = [...draft.attachments, ...uploads.map(({ shown }) => shown)];
  draft.changed();
  await Promise.all(uploads.map((one) => one.start()));
}

class Upload {
  readonly shown: DraftAttachment;
  private readonly type: string;
  private abort = new AbortController();
  /** Known to the server, perhaps without its bytes. */
  private createdId: string | null = null;

  constructor(
    private readonly chat: Chat,
    private readonly file: File,
  ) {
    this.type = file.type || UNKNOWN_TYPE;
    this.shown = {
      key: `upload-${++count}`,
      name: file.name,
      mimeType: this.type,
      size: file.size,
      previewUrl: this.type.startsWith("image/") ? URL.createObjectURL(file) : null,
      progress: null,
      attachment: null,
      error: null,
      discard: () => this.discard(),
    };
  }

  start(): Promise<void> {
    const lane = count++ % LANES;
    return (lanes[lane] = lanes[lane]!.then(() => this.run()));
  }

  private async run(): Promise<void> {
    const { chat, shown, abort, file } = this;
    if (abort.signal.aborted) return;
    try {
      // A dropped folder looks like a file until it is read.
      await file.slice(0, 1).arrayBuffer().catch(() => {
        throw new Error(chat.strings.fileUnreadable);
      });
      shown.attachment = await this.send();
      this.createdId = shown.attachment.id;
      if (abort.signal.aborted) this.deleteAtServer();
    } catch (error) {
      if (abort.signal.aborted) return this.deleteAtServer();
      shown.error = this.reasonOf(error as Error);
      // What the server refuses, such as a type, it would refuse again.
      if (!(error instanceof RequestError) || error.isTemporary || error.status === 429) shown.retry = () => this.retry();
      chat.emit("error", { error });
      chat.toast({ level: "danger", text: chat.strings.uploadFailed(shown.name, shown.error) });
    }
    chat.draft.changed();
  }

  private async send(): Promise<Attachment> {
    const { api } = this.chat.options;
    const strategy = "uploadStrategy" in api ? api.uploadStrategy : undefined;
    return strategy?.type === "direct" ? this.sendDirectly(strategy.uploadUrl) : this.sendInTwoPhases();
  }

  private async sendDirectly(url: string): Promise<Attachment> {
    const answer = (await this.transfer(new URL(url, document.baseURI).href, "POST", {}, this.form())) as Partial<Attachment> | null;
    if (typeof answer?.id !== "string" || typeof answer.mime_type !== "string") throw new Error(this.chat.strings.somethingWentWrong);
    return { type: "file", name: this.file.name, ...answer } as Attachment;
  }

  private async sendInTwoPhases(): Promise<Attachment> {
    const { chat, file, type, abort } = this;
    const params = { name: file.name, size: file.size, mime_type: type };
    const { upload_descriptor: target, ...attachment } = await chat.client.ask<CreatedAttachment>("attachments.create", params, abort.signal);
    this.createdId = attachment.id;
    if (target) await this.transfer(target.url, target.method, target.headers ?? {}, target.method === "PUT" ? file : this.form());
    return attachment as Attachment;
  }

  private transfer(url: string, method: string, headers: Record<string, string>, body: File | FormData): Promise<unknown> {
    const { chat, shown, abort } = this;
    const showProgress = (progress: number) => {
      shown.progress = progress;
      chat.draft.changed();
    };
    return sendFile(chat, { url, method, headers, body }, abort.signal, showProgress);
  }

  private form(): FormData {
    const form = new FormData();
    form.append("file", this.file, this.file.name);
    return form;
  }

  private reasonOf(error: Error): string {
    const { strings } = this.chat;
    if (!(error instanceof RequestError)) return error.message || strings.somethingWentWrong;
    if (error.status === null) return navigator.onLine ? strings.uploadNoAnswer : strings.uploadOffline;
    return error.message || (error.status === 429 ? strings.tooManyRequests : strings.uploadRefused(error.status));
  }

  private retry(): void {
    const { shown, chat } = this;
    this.deleteAtServer();
    shown.error = null;
    shown.progress = null;
    delete shown.retry;
    chat.draft.changed();
    void this.start();
  }

  private discard(): void {
    const { previewUrl } = this.shown;
    this.abort.abort();
    if (previewUrl?.startsWith("blob:")) URL.revokeObjectURL(previewUrl);
    this.deleteAtServer();
  }

  /** A file that stays at the server after a failure is the server's to clean up. */
  private deleteAtServer(): void {
    const { createdId, chat } = this;
    this.createdId = null;
    if (createdId) void chat.client.ask("attachments.delete", { attachment_id: createdId }).catch((error: Error) => chat.emit("error", { error }));
  }
}
