/**
 * Sends a file with progress, by `XMLHttpRequest`; by the page's own `fetch`, which knows no progress, if it has one that
 * may have to add something to the request.
 */
import type { Chat } from "../chat/chat";
import { RequestError } from "../protocol/client";

export interface FileRequest {
  url: string;
  method: string;
  headers: Record<string, string>;
  body: File | FormData;
}

/** Returns the JSON of the answer, or null if it is none. Throws `RequestError`. */
export async function sendFile(chat: Chat, request: FileRequest, signal: AbortSignal, onProgress: (progress: number) => void): Promise<unknown> {
  const { api } = chat.options;
  const isFetched = "fetch" in api && api.fetch && (api as FileOption).fetchesFiles !== false;
  const { status, text } = isFetched ? await fetched(chat, request, signal) : await transferred(chat, request, signal, onProgress);
  const answer = parsed(text);
  if (status >= 200 && status < 300) return answer;
  const { message, code } = (answer ?? {}) as { message?: unknown; code?: unknown };
  throw new RequestError(typeof message === "string" ? message : "", status, typeof code === "string" ? code : null);
}

/** An option of this element only. */
interface FileOption {
  /** False where files may go past the page's `fetch`. */
  fetchesFiles?: boolean;
}

interface FileAnswer {
  status: number;
  text: string;
}

async function fetched(chat: Chat, { url, method, headers, body }: FileRequest, signal: AbortSignal): Promise<FileAnswer> {
  try {
    const response = await chat.client.fetch(url, { method, headers, body, signal });
    return { status: response.status, text: await response.text() };
  } catch (error) {
    throw signal.aborted ? error : new RequestError(String(error), null);
  }
}

function transferred(chat: Chat, { url, method, headers, body }: FileRequest, signal: AbortSignal, onProgress: (progress: number) => void): Promise<FileAnswer> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, url);
    const all = { "chatkit-frame-instance-id": chat.client.frameId, "accept-language": chat.locale, ...headers };
    for (const [name, value] of Object.entries(all)) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ lengthComputable, loaded, total }) => lengthComputable && onProgress(loaded / total);
    request.onload = () => resolve({ status: request.status, text: request.responseText });
    request.onerror = request.onabort = () => reject(new RequestError("", null));
    signal.addEventListener("abort", () => request.abort());
    if (signal.aborted) return reject(new RequestError("", null));
    request.send(body);
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
