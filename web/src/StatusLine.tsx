/** One quiet line of fixed height: what the chat is doing, and which model answers. Details are behind a button. */
import type { Health } from "./health";

export type Activity = "loading" | "ready" | "answering" | "error";

const LABELS: Record<Activity, string> = {
  loading: "Loading…",
  ready: "Ready",
  answering: "Answering…",
  error: "Error",
};

interface Props {
  activity: Activity;
  health: Health;
  /** Name of the widget's last diagnostic event. */
  lastLog: string | null;
}

export function StatusLine({ activity, health, lastLog }: Props) {
  return (
    <footer className="status">
      <span className="activity" data-activity={activity} role="status" aria-live="polite">
        {LABELS[activity]}
      </span>
      <ModelName {...health} />
      <Details health={health} lastLog={lastLog} />
    </footer>
  );
}

function ModelName({ model, reachable }: Health) {
  if (!model) return <span className="model">{reachable === null ? "Connecting to the server…" : "Server not reachable"}</span>;
  return (
    <span className="model">
      Model: <strong>{model.name}</strong>
    </span>
  );
}

function Details({ health: { model, reachable }, lastLog }: Omit<Props, "activity">) {
  return (
    <details className="details">
      <summary>Details</summary>
      <dl>
        {model && <Entry term="Model" text={model.name === model.provider ? model.name : `${model.name} (${model.provider})`} />}
        {model?.note && <Entry term="Note" text={model.note} />}
        <Entry term="Server" text={reachable === null ? "connecting" : reachable ? "reachable" : "not reachable"} />
        {lastLog && <Entry term="Last event of the widget" text={lastLog} />}
      </dl>
    </details>
  );
}

function Entry({ term, text }: { term: string; text: string }) {
  return (
    <div>
      <dt>{term}</dt>
      <dd>{text}</dd>
    </div>
  );
}
