/** Describes what went wrong to the user. */
import type { Answer, Failure, SentMessage } from "./api";

export interface Problem {
  /** The operation that failed, or `widget` for an error event of the widget. */
  source: string;
  title: string;
  text: string;
  /** The user's message, if the widget discards it. */
  lost?: SentMessage;
  /** A thread that may load on a second attempt. */
  threadId?: string;
  /** The server gave no reason, so this adds nothing if the server is known to be unreachable. */
  isVague?: boolean;
  /** It does not concern an answer, for example a refused file. */
  isAside?: boolean;
}

/** Returns the problem with a response to the widget; null on success, or if the widget shows it well enough. */
export function problemOf({ operation, threadId, message, file, failure }: Answer): Problem | null {
  if (!failure || failure.status === 429) return null; // the widget has its own message for 429
  const source = operation;
  const cause = causefulness(failure);
  const isVague = failure.message === null;
  if (operation === "threads.get_by_id") {
    return isGone(failure)
      ? { source, title: "Conversation not found", text: "It was deleted, or it belongs to another browser or user." }
      : { source, title: "The conversation could not be loaded", text: `${cause} This page's address still names it.`, ...(threadId && { threadId }) };
  }
  if (file) return { source, title: `“${file}” could not be attached`, text: cause, isVague, isAside: true };
  if (message) return { source, title: "The message was not accepted", text: cause, lost: message };
  return { source, title: "That did not work", text: cause, isVague };
}

/** Returns the message as plain text. */
export function textOf({ content }: SentMessage): string {
  return content.map((part) => (part.type === "input_tag" ? `@${part.text}` : part.text)).join("");
}

/** Whether the widget will not repeat a request that failed in this way: it repeats only on 5xx and without a response. */
export function isFinal({ status }: Failure): boolean {
  return status !== null && status < 500;
}

/** Whether the server itself, and not a proxy, says that the thread does not exist. */
export function isGone(failure: Failure): boolean {
  return failure.status === 404 && failure.code === "not_found";
}

/** Returns the problem for an error event of the widget. */
export function problemOfError(error: Error | undefined): Problem {
  const text = error?.message || "The chat reported an error without details.";
  return { source: "widget", title: "Something went wrong", text };
}

/** Whether the widget shows the error itself, permanently: in a thread, in place of the answer. */
export function isShownInThread(error: Error | undefined, threadId: string | null): boolean {
  return error?.name === "StreamError" && threadId !== null;
}

/** Returns the problem to show: the later one, unless the first is more useful. */
export function moreUseful(first: Problem | null, second: Problem): Problem {
  return first && usefulness(first) > usefulness(second) ? first : second;
}

/** Whether the problem is over once the server is reachable again. */
export function endsWithOutage(problem: Problem): boolean {
  return problem !== NEVER_STARTED && usefulness(problem) < 2;
}

/** 2 with something for the user to act on, 1 with a reason, else 0. */
function usefulness({ lost, threadId, isVague }: Problem): number {
  if (lost || threadId) return 2;
  return isVague ? 0 : 1;
}

export const NEVER_STARTED: Problem = {
  source: "widget",
  title: "The chat did not start",
  text:
    "The script was loaded, but the chat does not respond. On a public domain the usual cause is OpenAI's domain check: the domain " +
    "must be on the allow-list of an OpenAI organization, and the page must be built with its key (VITE_CHATKIT_DOMAIN_KEY). " +
    "A blocker that blocks frames from cdn.platform.openai.com has the same effect.",
};

function causefulness({ message, status }: Failure): string {
  return message ?? (status ? `The server answered with status ${status}.` : "The server did not answer.");
}
