/** One quiet line of fixed height: what the chat is doing, which model answers and how fast. Details are behind a button. */
import type { Activity } from "./activity";
import type { Health } from "./health";
import type { Speed } from "./speed";
import type { Widget } from "./widget";

const LABELS: Record<Activity, string> = {
  loading: "Loading…",
  ready: "Ready",
  answering: "Answering…",
  error: "Error",
};

interface Props {
  activity: Activity;
  /** Of the last answer. */
  speed: Speed | null;
  health: Health;
  widget: Widget;
}

export function StatusLine({ activity, speed, health, widget }: Props) {
  const isAway = health.reachable === false;
  return (
    <footer className="status">
      <span className="activity" data-activity={isAway ? "away" : activity} role="status" aria-live="polite">
        {isAway ? "Reconnecting…" : LABELS[activity]}
      </span>
      {health.model && (
        <span className="model">
          <span className="visually-hidden">Model: </span>
          <span className="name">{health.model.name}</span>
        </span>
      )}
      {speed?.isStreaming && <Figures {...speed} />}
      <Details speed={speed} health={health} widget={widget} />
    </footer>
  );
}

function Figures({ firstTokenMs, tokensPerSecond }: Speed) {
  return (
    <span className="figures">
      {firstTokenMs !== null && <span className="first">{seconds(firstTokenMs)} to first token</span>}
      {tokensPerSecond !== null && <span>{Math.round(tokensPerSecond)} tokens/s</span>}
    </span>
  );
}

function Details({ speed, health: { model, reachable }, widget }: Omit<Props, "activity">) {
  return (
    <>
      <button type="button" className="quiet details-button" popoverTarget="details">
        Details
      </button>
      <div id="details" className="details" popover="auto">
        <dl>
          {model && <Entry term="Model" text={model.name === model.provider ? model.name : `${model.name} (${model.provider})`} />}
          {model?.note && <Entry term="Note" text={model.note} />}
          {speed && <Entry term="Last answer" text={describe(speed)} />}
          <Entry term="Server" text={reachable === null ? "Connecting" : reachable ? "Connected" : "Cannot be reached"} />
          {widget.state === "ready" && <Entry term="Chat" text={widget.kind === "stock" ? "OpenAI's ChatKit" : "The open element of this server"} />}
        </dl>
      </div>
    </>
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

function describe({ firstTokenMs, tokensPerSecond }: Speed): string {
  const first = firstTokenMs === null ? [] : [`${seconds(firstTokenMs)} to the first token`];
  const rate = tokensPerSecond === null ? [] : [`about ${Math.round(tokensPerSecond)} tokens per second`];
  return [...first, ...rate].join(", ") || "Not measured";
}

const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(1)} s`;
