/** The widget, connected to the page: its events set the activity and the problem, its thread is kept in the URL. */
import { ChatKit, useChatKit } from "@openai/chatkit-react";
import { type Dispatch, type SetStateAction, useEffect, useState } from "react";

import { type Answer, type SentMessage, watchedFetch } from "./api";
import { createAttach } from "./attach";
import { onEffect } from "./client";
import { useColorScheme } from "./colorScheme";
import type { ReportRequest } from "./health";
import type { Offers } from "./offers";
import { chatOptions } from "./options";
import { ProblemNotice } from "./ProblemNotice";
import { endsWithOutage, isFinal, isGone, isShownInThread, moreUseful, NEVER_STARTED, type Problem, problemOf, problemOfError } from "./problem";
import type { Activity } from "./StatusLine";
import { SavedThread } from "./thread";
import { parametersOf, Undelivered } from "./undelivered";

const START_TIMEOUT_MS = 20_000;

interface Props {
  offers: Offers;
  /** The server is known to be unreachable. */
  isUnreachable: boolean;
  reportRequest: ReportRequest;
  setActivity: Dispatch<SetStateAction<Activity>>;
  /** Called with the name of each diagnostic event. */
  onLog: (name: string) => void;
}

export function Chat({ offers, isUnreachable, reportRequest, setActivity, onLog }: Props) {
  const scheme = useColorScheme();
  const [thread] = useState(() => new SavedThread());
  const [initialThread] = useState(() => thread.id);
  const [attach] = useState(() => createAttach());
  const [fetch] = useState(() => watchedFetch(attach.fetch, onAnswer));
  const [undelivered] = useState(() => new Undelivered(compose, clearComposer));
  const [started, setStarted] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);

  /** An error stays visible until something new begins. */
  const finish = () => setActivity((activity) => (activity === "error" ? activity : "ready"));
  const clearError = () => setActivity((activity) => (activity === "error" ? "ready" : activity));

  function onAnswer(answer: Answer) {
    keepThread(thread, answer);
    reportRequest(isAnswered(answer));
    if (answer.message && answer.failure) undelivered.failed(answer.message, isFinal(answer.failure));
    else if (answer.message) undelivered.delivered(answer.message);
    const newProblem = problemOf(answer);
    if (newProblem) {
      setProblem((last) => moreUseful(last, newProblem));
      if (!newProblem.isAside) setActivity("error");
    } else if (!answer.failure) {
      setProblem((last) => (last && isOutdated(last, answer) ? null : last));
      if (answer.operation === "threads.custom_action") clearError();
    }
  }

  const chat = useChatKit({
    ...chatOptions({ fetch, scheme, initialThread, offers }),
    onReady() {
      setStarted(true);
      setProblem((last) => (last === NEVER_STARTED ? null : last));
      finish();
    },
    onThreadChange: ({ threadId }) => thread.changed(threadId),
    onThreadLoadStart() {
      setProblem(null);
      setActivity("loading");
    },
    onThreadLoadEnd: finish,
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
      if (problem?.isAside && error?.name !== "StreamError") return; // the widget's error for the same file
      reportRequest(false); // `watchedFetch` does not report a stream that breaks off
      setActivity("error");
      if (isShownInThread(error, thread.id)) return;
      // The text of the server's response is clearer than the error that the widget makes of it.
      setProblem((last) => (last && last.source !== "widget" ? last : problemOfError(error)));
    },
    onEffect,
    onLog({ name, data }) {
      console.debug("ChatKit:", name, data);
      onLog(name);
    },
  });

  useEffect(() => (chat.ref.current ? attach.connect(chat.ref.current) : undefined), [attach, chat.ref]);

  useEffect(() => {
    if (started) return;
    const timer = setTimeout(() => setProblem((last) => last ?? NEVER_STARTED), START_TIMEOUT_MS);
    return () => clearTimeout(timer);
  }, [started]);

  useEffect(() => {
    if (isUnreachable) return;
    setProblem((last) => (last && endsWithOutage(last) ? null : last));
    clearError();
  }, [isUnreachable]);

  function dismiss() {
    setProblem(null);
    clearError();
  }

  function compose(message: SentMessage) {
    chat.setComposerValue(parametersOf(message)).catch((error: Error) => console.error("ChatKit:", error));
  }

  function clearComposer() {
    compose({ content: [], attachments: [] });
  }

  function sendAgain(message: SentMessage) {
    dismiss();
    clearComposer();
    chat.sendUserMessage(parametersOf(message)).catch((error: Error) => setProblem(problemOfError(error)));
  }

  function load(threadId: string) {
    dismiss();
    chat.setThreadId(threadId).catch((error: Error) => setProblem(problemOfError(error)));
  }

  return (
    <>
      {problem && !(isUnreachable && problem.isVague) && <ProblemNotice problem={problem} onDismiss={dismiss} onLoad={load} onSend={sendAgain} />}
      <ChatKit control={chat.control} className="chat" />
    </>
  );
}

/** Re-attaching to an answer that has ended meanwhile starts no response, so its action also clears a problem. */
function isOutdated(problem: Problem, { operation }: Answer): boolean {
  return problem.source === operation || (problem.source === "widget" && operation === "threads.custom_action");
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
