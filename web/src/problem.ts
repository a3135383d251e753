/** Describes what went wrong to the user. OpenAI's element shows most failures badly or not at all; the open one shows its own. */
import type { Answer, Failure, SentMessage } from "./api";
import { texts } from "./texts";

export interface Problem {
  /** The operation that failed, or `element` for an error event. */
  source: string;
  title: string;
  text: string;
  /** A thread that may load on a second attempt. */
  threadId?: string;
  /** What the user can do about it. */
  action?: { label: string; onClick: () => void };
  /** What the user has to know also when the server is reachable again. */
  isLasting?: boolean;
  /** The server gave no reason, so this says nothing new if the server is known to be unreachable. */
  isVague?: boolean;
  /** It does not concern an answer, for example a refused file. */
  isAside?: boolean;
}

/** Returns the problem with a response; null on success, or if the element shows it well enough, or does so later. */
export function problemOf({ operation, threadId, message, file, failure }: Answer): Problem | null {
  if (!failure || message || failure.status === 429) return null; // the element has its own text for 429
  const source = operation;
  const cause = causeOf(failure);
  const isVague = failure.message === null;
  if (operation === "threads.get_by_id") {
    return isGone(failure)
      ? { source, title: texts.notFound, text: texts.notFoundWhy, isLasting: true }
      : { source, title: texts.notLoaded, text: cause, isLasting: true, ...(threadId && { threadId }) };
  }
  if (file) return { source, title: texts.notAttached(file), text: cause, isVague, isAside: true };
  return { source, title: texts.failed, text: cause, isVague };
}

/** Returns the problem for a message that the element has given up; it is in the composer again. */
export function undeliveredProblem(failure: Failure): Problem {
  return { source: "message", title: texts.notSent, text: `${causeOf(failure)} ${texts.inFieldAgain}`, isLasting: true };
}

/** Returns the message as plain text. */
export function textOf({ content }: SentMessage): string {
  return content.map((part) => (part.type === "input_tag" ? `@${part.text}` : part.text)).join("");
}

/** Whether OpenAI's element will not repeat a request that failed in this way: it repeats only on 5xx and without a response. */
export function isFinal({ status }: Failure): boolean {
  return status !== null && status < 500;
}

/** Whether the server itself, and not a proxy, says that the thread does not exist. */
export function isGone(failure: Failure): boolean {
  return failure.status === 404 && failure.code === "not_found";
}

/** Returns the problem for an error event of the element. */
export function problemOfError(error: Error | undefined): Problem {
  const text = error?.message || texts.pleaseTryAgain;
  return { source: "element", title: texts.somethingWentWrong, text, isVague: true }; // not the server's words
}

/** Whether OpenAI's element shows the error itself, permanently: in a thread, in place of the answer. */
export function isShownInThread(error: Error | undefined, threadId: string | null): boolean {
  return error?.name === "StreamError" && threadId !== null;
}

/** Returns the problem to show: the later one, unless the first is more useful. */
export function moreUseful(first: Problem | null, second: Problem): Problem {
  return first && usefulness(first) > usefulness(second) ? first : second;
}

/** Whether the problem is over once the server is reachable again. */
export function endsWithOutage(problem: Problem): boolean {
  return !problem.isLasting;
}

/** 2 with something for the user to act on, 1 with a reason, else 0. */
function usefulness({ isLasting, isVague }: Problem): number {
  if (isLasting) return 2;
  return isVague ? 0 : 1;
}

export const NEVER_STARTED: Problem = {
  source: "element",
  title: "The chat did not start.",
  text:
    "Its script was loaded, but it does not respond. On a public domain the usual cause is OpenAI's domain check: the domain " +
    "must be on the allow-list of an OpenAI organization, and the page must be built with its key (VITE_CHATKIT_DOMAIN_KEY). " +
    "A blocker that blocks frames from cdn.platform.openai.com has the same effect.",
  isLasting: true,
};

function causeOf({ message, status }: Failure): string {
  return message ?? (status ? texts.status(status) : texts.noAnswer);
}
