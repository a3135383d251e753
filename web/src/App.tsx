/** The page: notices on top, the chat, the status line. */
import { useState } from "react";

import { Chat } from "./Chat";
import { useHealth } from "./health";
import { Notice } from "./Notice";
import { useOffers } from "./offers";
import { ScriptNotice } from "./ScriptNotice";
import { useScript } from "./script";
import { type Activity, StatusLine } from "./StatusLine";

export function App() {
  const script = useScript();
  const [health, reportRequest] = useHealth();
  const offers = useOffers(health.reachable);
  const [activity, setActivity] = useState<Activity>("loading");
  const [lastLog, setLastLog] = useState<string | null>(null);
  return (
    <div className="page">
      <main>
        <h1 className="visually-hidden">Chat</h1>
        {health.reachable === false && <UnreachableNotice />}
        {script.state === "failed" && <ScriptNotice reason={script.reason} onRetry={script.retry} />}
        {script.state === "ready" && offers && (
          <Chat
            offers={offers}
            isUnreachable={health.reachable === false}
            reportRequest={reportRequest}
            setActivity={setActivity}
            onLog={setLastLog}
          />
        )}
      </main>
      <StatusLine activity={script.state === "failed" ? "error" : activity} health={health} lastLog={lastLog} />
    </div>
  );
}

function UnreachableNotice() {
  return (
    <Notice title="The server cannot be reached">
      <p>
        There is no answer from <code>{location.origin}/api/stream/health</code>. Is the server running, and are you online? This page retries
        every few seconds.
      </p>
    </Notice>
  );
}
