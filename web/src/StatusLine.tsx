/** One quiet line of fixed height: what the chat is doing, which model answers and how fast. Details are behind a button. */
import type { Activity } from "./activity";
import type { Health } from "./health";
import type { Speed } from "./speed";
import type { Widget } from "./widget";
import { texts } from "./texts";

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
        {isAway ? texts.reconnecting : texts[activity]}
      </span>
      {health.model && (
        <span className="model">
          <span className="visually-hidden">{texts.model}: </span>
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
      {firstTokenMs !== null && <span className="first">{texts.firstToken(seconds(firstTokenMs))}</span>}
      {tokensPerSecond !== null && <span>{texts.tokensPerSecond(Math.round(tokensPerSecond))}</span>}
    </span>
  );
}

function Details({ speed, health: { model, reachable }, widget }: Omit<Props, "activity">) {
  return (
    <>
      <button type="button" className="quiet details-button" popoverTarget="details">
        {texts.details}
      </button>
      <div id="details" className="details" popover="auto">
        <dl>
          {model && <Entry term={texts.model} text={model.name === model.provider ? model.name : `${model.name} (${model.provider})`} />}
          {model?.note && <Entry term={texts.note} text={model.note} />}
          {speed && <Entry term={texts.lastAnswer} text={describe(speed)} />}
          <Entry term={texts.server} text={reachable === null ? texts.connecting : reachable ? texts.connected : texts.unreachable} />
          {widget.state === "ready" && <Entry term={texts.chat} text={widget.kind === "stock" ? texts.stockElement : texts.openElement} />}
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
  const first = firstTokenMs === null ? [] : [texts.firstToken(seconds(firstTokenMs))];
  const rate = tokensPerSecond === null ? [] : [texts.tokensPerSecond(Math.round(tokensPerSecond))];
  return [...first, ...rate].join(" · ") || texts.notMeasured;
}

const seconds = (milliseconds: number): string =>
  (milliseconds / 1000).toLocaleString(document.documentElement.lang, { style: "unit", unit: "second", unitDisplay: "narrow", minimumFractionDigits: 1, maximumFractionDigits: 1 });
