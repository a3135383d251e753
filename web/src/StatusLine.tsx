/** One line: what the chat is doing, and which model it uses. */
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
      {lastLog && (
        <span className="log" aria-hidden="true" title="The widget's last diagnostic event">
          {lastLog}
        </span>
      )}
    </footer>
  );
}

function ModelName({ model, reachable }: Health) {
  if (!model) return <span className="model">{reachable === null ? "Connecting to the server…" : "Server not reachable"}</span>;
  return (
    <span className="model" title={model.note ?? undefined}>
      Model: <strong>{model.name}</strong> {model.name !== model.provider && `(${model.provider})`}
      {model.note && <span className="note"> {model.note}</span>}
    </span>
  );
}
