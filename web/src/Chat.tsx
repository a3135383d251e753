/** The widget, wired: its events become the page's activity and problems, its thread goes into the address. */
import { ChatKit, useChatKit } from "@openai/chatkit-react";
import { type Dispatch, type SetStateAction, useEffect, useState } from "react";

import { type Answer, watchedFetch } from "./api";
import { createAttach } from "./attach";
import { onEffect } from "./client";
import { useColorScheme } from "./colorScheme";
import type { Hear } from "./health";
import type { Offers } from "./offers";
import { chatOptions } from "./options";
import { ProblemNotice } from "./ProblemNotice";
import { endsWithOutage, isGone, isShownInThread, moreUseful, NEVER_STARTED, type Problem, problemOf, problemOfError } from "./problem";
import type { Activity } from "./StatusLine";
import { SavedThread } from "./thread";

const START_TIMEOUT_MS = 20_000;

interface Props {
  offers: Offers;
  /** The server is known to be away. */
  isAway: boolean;
  hear: Hear;
  setActivity: Dispatch<SetStateAction<Activity>>;
  /** Called with the name of each diagnostic event. */
  onLog: (name: string) => void;
}

export function Chat({ offers, isAway, hear, setActivity, onLog }: Props) {
  const scheme = useColorScheme();
  const [thread] = useState(() => new SavedThread());
  const [initialThread] = useState(() => thread.id);
  const [attach] = useState(() => createAttach());
  const [fetch] = useState(() => watchedFetch(attach.fetch, onAnswer));
  const [started, setStarted] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);

  /** An error stays in sight until something new begins. */
  const settle = () => setActivity((activity) => (activity === "error" ? activity : "ready"));
  const calm = () => setActivity((activity) => (activity === "error" ? "ready" : activity));

  function onAnswer(answer: Answer) {
    keepThread(thread, answer);
    hear(isAnswered(answer));
    const found = problemOf(answer);
    if (found) {
      setProblem((last) => moreUseful(last, found));
      setActivity("error");
    } else if (!answer.failure) {
      setProblem((last) => (last && isOutdated(last, answer) ? null : last));
      if (answer.operation === "threads.custom_action") calm();
    }
  }

  const chat = useChatKit({
    ...chatOptions({ fetch, scheme, initialThread, offers }),
    onReady() {
      setStarted(true);
      setProblem((last) => (last === NEVER_STARTED ? null : last));
      settle();
    },
    onThreadChange: ({ threadId }) => thread.changed(threadId),
    onThreadLoadStart() {
      setProblem(null);
      setActivity("loading");
    },
    onThreadLoadEnd: settle,
    onResponseStart() {
      setProblem(null);
      setActivity("answering");
    },
    onResponseEnd: settle,
    onError({ error }) {
      console.error("ChatKit:", error);
      hear(false); // a stream that breaks off is no failed request to `watchedFetch`
      setActivity("error");
      if (isShownInThread(error, thread.id)) return;
      // What the server said in its answer is clearer than what the widget makes of it.
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
    if (isAway) return;
    setProblem((last) => (last && endsWithOutage(last) ? null : last));
    calm();
  }, [isAway]);

  function dismiss() {
    setProblem(null);
    calm();
  }

  function load(threadId: string) {
    dismiss();
    chat.setThreadId(threadId).catch((error: Error) => setProblem(problemOfError(error)));
  }

  return (
    <>
      {problem && !(isAway && problem.isVague) && <ProblemNotice problem={problem} onDismiss={dismiss} onLoad={load} />}
      <ChatKit control={chat.control} className="chat" />
    </>
  );
}

/** The answer that is shown again after its connection was lost begins no new response where it has ended meanwhile. */
function isOutdated(problem: Problem, { operation }: Answer): boolean {
  return problem.source === operation || (problem.source === "widget" && operation === "threads.custom_action");
}

/** What a server answers that is there, if only to refuse. */
function isAnswered({ failure }: Answer): boolean {
  return !failure || (failure.status !== null && failure.status < 500);
}

function keepThread(thread: SavedThread, { operation, threadId, failure }: Answer): void {
  if (operation !== "threads.get_by_id" || !threadId) return;
  if (failure) thread.loadFailed(threadId, isGone(failure));
  else thread.loaded();
}
