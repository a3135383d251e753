/**
 * The element, connected to the page: its events set the activity and the problem, its thread is kept in the URL.
 *
 * OpenAI's element needs help (`Undelivered`, `createAttach`, the problems): it loses messages and hides failures. The
 * open one does all that by itself.
 */
import { useChatKit } from "@openai/chatkit-react";
import { type Dispatch, type SetStateAction, useEffect, useRef, useState } from "react";

import type { Activity } from "./activity";
import { type Answer, type Failure, type SentMessage, watchedFetch } from "./api";
import { createAttach } from "./attach";
import { ChatElement } from "./ChatElement";
import { onEffect } from "./client";
import { useColorScheme } from "./colorScheme";
import type { ReportRequest } from "./health";
import { serverFetch } from "./login";
import type { Offers } from "./offers";
import { chatOptions } from "./options";
import { endsWithOutage, isFinal, isGone, isShownInThread, moreUseful, NEVER_STARTED, type Problem, problemOf, problemOfError, undeliveredProblem } from "./problem";
import { type Speed, Speedometer } from "./speed";
import { checkStock } from "./stockCheck";
import { texts } from "./texts";
import { SavedThread } from "./thread";
import { parametersOf, Undelivered } from "./undelivered";
import type { Start, Written } from "./Waiting";
import type { StockFailure, Widget } from "./widget";

interface Props {
  widget: Extract<Widget, { state: "ready" }>;
  offers: Offers;
  /** What the user has written before the chat had started. */
  written: Written | null;
  /** The server is known to be unreachable. */
  isUnreachable: boolean;
  problem: Problem | null;
  setProblem: Dispatch<SetStateAction<Problem | null>>;
  reportRequest: ReportRequest;
  setActivity: Dispatch<SetStateAction<Activity>>;
  onSpeed: (speed: Speed) => void;
  onStart: (start: Start) => void;
  onStockFailure: (reason: StockFailure) => void;
}

export function Chat({ widget: { kind, tag }, offers, written, isUnreachable, problem, setProblem, reportRequest, setActivity, onSpeed, onStart, onStockFailure }: Props) {
  const isStock = kind === "stock";
  const scheme = useColorScheme();
  const [thread] = useState(() => new SavedThread());
  const [initialThread] = useState(() => thread.id);
  const [attach] = useState(() => createAttach({ fetch: serverFetch }));
  const [speedometer] = useState(() => new Speedometer((speed) => onSpeed(speed)));
  // The open element re-attaches, stops and refreshes by itself.
  const [fetch] = useState(() => watchedFetch(isStock ? attach.fetch : serverFetch, speedometer, onAnswer));
  const [undelivered] = useState(() => new Undelivered(giveBack, () => compose({ content: [], attachments: [] })));

  /** An error stays visible until something new begins. */
  const finish = () => setActivity((activity) => (activity === "error" ? activity : "ready"));
  const clearError = () => setActivity((activity) => (activity === "error" ? "ready" : activity));

  function onAnswer(answer: Answer) {
    keepThread(thread, answer);
    reportRequest(isAnswered(answer));
    if (!isStock) {
      if (!answer.failure) clearError();
      return;
    }
    if (answer.message && answer.failure) undelivered.failed(answer.message, answer.failure, isFinal(answer.failure));
    else if (answer.message) undelivered.delivered(answer.message);
    const newProblem = problemOf(answer);
    if (newProblem) {
      setProblem((last) => moreUseful(last, withAction(newProblem)));
      if (!newProblem.isAside) setActivity("error");
    } else if (!answer.failure) {
      setProblem((last) => (last && isOutdated(last, answer) ? null : last));
      if (answer.operation === "threads.custom_action") clearError();
    }
  }

  const chat = useChatKit({
    ...chatOptions({ isStock, fetch, scheme, initialThread, offers }),
    onReady() {
      setProblem((last) => (last === NEVER_STARTED ? null : last));
      onStart(initialThread === null ? "settled" : "ready");
      finish();
      // This page is for typing. A phone would open its keyboard.
      if (!isStock && document.activeElement === document.body && matchMedia("(pointer: fine)").matches) void chat.focusComposer();
    },
    onThreadChange({ threadId }) {
      thread.changed(threadId);
      onStart("settled"); // an initial thread is loaded, or could not be
    },
    onThreadLoadStart() {
      setProblem(null);
      setActivity("loading");
    },
    onThreadLoadEnd() {
      onStart("settled");
      finish();
    },
    onResponseStart() {
      setProblem(null);
      setActivity("answering");
    },
    onResponseEnd() {
      undelivered.ended();
      finish();
    },
    onError({ error }) {
      console.error("ChatKit:", error);
      if (isStock && problem?.isAside && error?.name !== "StreamError") return; // its error for the same file
      reportRequest(false); // `watchedFetch` does not report a stream that breaks off
      setActivity((activity) => (!isStock && activity === "answering" ? activity : "error")); // a file, perhaps, not the answer
      if (!isStock || isShownInThread(error, thread.id)) return;
      // The text of the server's response is clearer than the error that the element makes of it.
      setProblem((last) => (last && last.source !== "element" ? last : problemOfError(error)));
    },
    onEffect,
    onLog: ({ name, data }) => console.debug("ChatKit:", name, data),
    onDeeplink: ({ name, data }) => console.debug("ChatKit: a link to", name, data),
  });

  useEffect(() => (isStock && chat.ref.current ? attach.connect(chat.ref.current) : undefined), [isStock, attach, chat.ref]);

  const reportFailure = useRef(onStockFailure);
  reportFailure.current = onStockFailure;
  useEffect(() => {
    if (!isStock || !chat.ref.current) return;
    return checkStock(chat.ref.current, (reason) => reportFailure.current(reason));
  }, [isStock, chat.ref]);

  // The page around the open element has its background; OpenAI's is in style.css, as its frame cannot be asked.
  useEffect(() => {
    const element = chat.ref.current;
    if (isStock || !element) return;
    const root = document.documentElement.style;
    root.setProperty("--surface", getComputedStyle(element).backgroundColor);
    return () => void root.removeProperty("--surface");
  }, [isStock, scheme, chat.ref]);

  useEffect(() => {
    if (isUnreachable) return;
    setProblem((last) => (last && endsWithOutage(last) ? null : last));
    clearError();
  }, [isUnreachable]);

  useEffect(() => {
    if (written?.text) chat.setComposerValue({ text: written.text }).catch(log);
    if (written?.hasFocus) chat.focusComposer().catch(log);
  }, [written]);

  function withAction(newProblem: Problem): Problem {
    const { threadId } = newProblem;
    return threadId ? { ...newProblem, action: { label: texts.tryAgain, onClick: () => load(threadId) } } : newProblem;
  }

  function load(threadId: string) {
    setProblem(null);
    clearError();
    chat.setThreadId(threadId).catch((error: Error) => setProblem(problemOfError(error)));
  }

  function compose(message: SentMessage) {
    chat.setComposerValue(parametersOf(message)).catch(log);
  }

  function giveBack(message: SentMessage, failure: Failure) {
    compose(message);
    setProblem(undeliveredProblem(failure));
    setActivity("error");
  }

  return <ChatElement tag={tag} control={chat.control} className="chat" />;
}

const log = (error: Error) => console.error("ChatKit:", error);

/** Re-attaching to an answer that has ended meanwhile starts no response, so its action also clears a problem. */
function isOutdated(problem: Problem, { operation }: Answer): boolean {
  return problem.source === operation || (problem.source === "element" && operation === "threads.custom_action");
}

/** Whether the server answered, if only with a client error. */
function isAnswered({ failure }: Answer): boolean {
  return !failure || isFinal(failure);
}

function keepThread(thread: SavedThread, { operation, threadId, failure }: Answer): void {
  if (operation !== "threads.get_by_id" || !threadId) return;
  if (failure) thread.loadFailed(threadId, isGone(failure));
  else thread.loaded();
}
