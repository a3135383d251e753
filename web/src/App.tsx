/** The page: the chat, above it at most one banner, below it the status line. */
import { useCallback, useEffect, useState } from "react";

import type { Activity } from "./activity";
import { Banner } from "./Banner";
import { Chat } from "./Chat";
import { useHealth } from "./health";
import { LoginNotice } from "./LoginNotice";
import { useOffers } from "./offers";
import { NEVER_STARTED, type Problem } from "./problem";
import { ScriptNotice } from "./ScriptNotice";
import type { Speed } from "./speed";
import { StatusLine } from "./StatusLine";
import { type Start, Waiting, type Written } from "./Waiting";
import { type StockFailure, useWidget } from "./widget";
import { texts } from "./texts";

export function App() {
  const [health, reportRequest] = useHealth();
  const { offers, needsLogin, retry: retryOffers } = useOffers();
  const { widget, retry, replaceStock } = useWidget(offers?.widget ?? null);
  const [activity, setActivity] = useState<Activity>("loading");
  const [speed, setSpeed] = useState<Speed | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [start, setStart] = useState<Start>("pending");
  const [written, setWritten] = useState<Written | null>(null);
  const isUnreachable = health.reachable === false;
  const hasFailed = widget.state === "failed" || needsLogin;

  useEffect(() => {
    if (offers?.agent) document.title = offers.agent;
  }, [offers]);

  const onStockFailure = useCallback(
    (reason: StockFailure) => {
      if (offers?.widget === "stock") return setProblem((last) => last ?? NEVER_STARTED);
      setProblem(null);
      setStart("pending");
      setWritten(null);
      setActivity("loading");
      replaceStock(reason);
    },
    [offers, replaceStock],
  );

  function dismiss() {
    setProblem(null);
    setActivity((last) => (last === "error" ? "ready" : last));
  }

  return (
    <div className="page">
      <main>
        <h1 className="visually-hidden">{offers?.agent ?? texts.chat}</h1>
        <TopBanner problem={problem} isUnreachable={isUnreachable} onDismiss={dismiss} />
        <div className="stage">
          {widget.state === "ready" && offers && (
            <Chat
              key={widget.kind}
              widget={widget}
              offers={offers}
              written={written}
              isUnreachable={isUnreachable}
              problem={problem}
              setProblem={setProblem}
              reportRequest={reportRequest}
              setActivity={setActivity}
              onSpeed={setSpeed}
              onStart={setStart}
              onStockFailure={onStockFailure}
            />
          )}
          {widget.state === "failed" && <ScriptNotice reason={widget.reason} onRetry={retry} />}
          {needsLogin && <LoginNotice onRetry={retryOffers} />}
          {!hasFailed && !written && <Waiting start={start} onOver={setWritten} />}
        </div>
      </main>
      <StatusLine activity={hasFailed ? "error" : activity} speed={speed} health={health} widget={widget} />
    </div>
  );
}

/** One at a time; what went wrong is worth more than that the server is away, which the status line says as well. */
function TopBanner({ problem, isUnreachable, onDismiss }: { problem: Problem | null; isUnreachable: boolean; onDismiss: () => void }) {
  if (problem && !(isUnreachable && problem.isVague)) return <Banner {...problem} onDismiss={onDismiss} />;
  if (isUnreachable) return <Banner title={texts.serverUnreachable} text={texts.tryingAgain} />;
  return null;
}
