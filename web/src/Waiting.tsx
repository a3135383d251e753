/**
 * Covers the chat until it has started. The user may write already: what is written moves into the chat.
 */
import { useEffect, useRef, useState } from "react";

import { texts } from "./texts";

/** A chat that starts faster than this never shows it. */
const DELAY_MS = 350;

export interface Written {
  text: string;
  /** The user is writing just now. */
  hasFocus: boolean;
}

/** How far the chat is. It may be `ready` and still load its first thread, which would discard what is put into it. */
export type Start = "pending" | "ready" | "settled";

interface Props {
  start: Start;
  /** Called when the chat can take over, with what was written, also if that is nothing. */
  onOver: (written: Written) => void;
}

export function Waiting({ start, onOver }: Props) {
  const field = useRef<HTMLTextAreaElement>(null);
  const [isShown, setShown] = useState(false);

  useEffect(() => {
    const timer = setTimeout(() => setShown(true), DELAY_MS);
    return () => clearTimeout(timer);
  }, []);

  useEffect(() => {
    const text = field.current?.value ?? "";
    const hasFocus = isShown && document.activeElement === field.current;
    if (start === "settled" || (start === "ready" && !text && !hasFocus)) onOver({ text, hasFocus });
  }, [start]);

  return (
    <div className="waiting" data-shown={isShown || undefined}>
      <p className="dots" aria-hidden="true">
        <span />
        <span />
        <span />
      </p>
      {isShown && <textarea ref={field} rows={1} aria-label={texts.message} placeholder={texts.writeAlready} />}
    </div>
  );
}
