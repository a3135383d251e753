/** Says in one or two lines what happened and what to do; screen readers announce it immediately. */
import type { ReactNode } from "react";

import { texts } from "./texts";

interface Props {
  title: string;
  text: ReactNode;
  action?: { label: string; onClick: () => void } | undefined;
  onDismiss?: () => void;
}

export function Banner({ title, text, action, onDismiss }: Props) {
  return (
    <section className="banner" role="alert">
      <p>
        <strong>{title}</strong> {text}
      </p>
      {action && (
        <button type="button" className="quiet" onClick={action.onClick}>
          {action.label}
        </button>
      )}
      {onDismiss && (
        <button type="button" className="dismiss" aria-label={texts.dismiss} onClick={onDismiss}>
          <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
            <path d="m4 4 8 8m0-8-8 8" fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" />
          </svg>
        </button>
      )}
    </section>
  );
}
