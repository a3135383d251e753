/** What went wrong, in words for a user. */
import type { Answer, Failure } from "./api";

export interface Problem {
  /** The operation that failed, or `widget` for an error that the widget reported by itself. */
  source: string;
  title: string;
  text: string;
  /** What the user had written, where the widget would lose it. */
  lostText?: string;
  /** A thread worth loading again. */
  threadId?: string;
  /** The server gave no reason, so this says no more than that it is away, if it is. */
  isVague?: boolean;
}

/** The problem in an answer to the widget; null when it worked, or when the widget shows it well by itself. */
export function problemOf({ operation, threadId, text, failure }: Answer): Problem | null {
  if (!failure || failure.status === 429) return null; // for 429 the widget has a message of its own
  const source = operation;
  const cause = causeOf(failure);
  const isVague = failure.message === null;
  if (operation === "threads.get_by_id") {
    return isGone(failure)
      ? { source, title: "This conversation is not here", text: "It was deleted, or it belongs to another browser or user." }
      : { source, title: "The conversation could not be loaded", text: `${cause} Its address is kept.`, ...(threadId && { threadId }) };
  }
  if (text) return { source, title: "The message was not accepted", text: cause, lostText: text };
  return { source, title: "That did not work", text: cause, isVague };
}

/** Whether the server says that there is no such thing, and not merely some proxy on the way. */
export function isGone(failure: Failure): boolean {
  return failure.status === 404 && failure.code === "not_found";
}

/** The problem in an error that the widget reports. */
export function problemOfError(error: Error | undefined): Problem {
  const text = error?.message || "The chat reported an error without saying which.";
  return { source: "widget", title: "Something went wrong", text };
}

/** Whether the widget shows the error by itself, and for good: in a thread, where its answer would stand. */
export function isShownInThread(error: Error | undefined, threadId: string | null): boolean {
  return error?.name === "StreamError" && threadId !== null;
}

/** Which of two problems to show: the later one, unless the first is of more use. */
export function moreUseful(first: Problem | null, second: Problem): Problem {
  return first && useOf(first) > useOf(second) ? first : second;
}

/** Whether there is no more to a problem once the server, which was away, is back. */
export function endsWithOutage(problem: Problem): boolean {
  return problem !== NEVER_STARTED && useOf(problem) < 2;
}

/** 2 where the user gets something to go on with, 1 for a reason. */
function useOf({ lostText, threadId, isVague }: Problem): number {
  if (lostText || threadId) return 2;
  return isVague ? 0 : 1;
}

export const NEVER_STARTED: Problem = {
  source: "widget",
  title: "The chat did not start",
  text:
    "Its script was loaded, but the chat itself stays silent. On a public domain the usual cause is OpenAI's domain check: the domain " +
    "must be on the allow-list of an OpenAI organization, and the page must be built with its key (VITE_CHATKIT_DOMAIN_KEY). " +
    "A blocker that stops frames from cdn.platform.openai.com looks the same.",
};

function causeOf({ message, status }: Failure): string {
  return message ?? (status ? `The server answered with status ${status}.` : "No answer came from the server.");
}
