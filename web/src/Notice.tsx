/** A box that says what happened and what to do; screen readers announce it immediately. */
import type { ReactNode } from "react";

interface Props {
  title: string;
  children: ReactNode;
  actions?: ReactNode;
  onDismiss?: () => void;
}

export function Notice({ title, children, actions, onDismiss }: Props) {
  return (
    <section className="notice" role="alert">
      <div className="notice-text">
        <h2>{title}</h2>
        {children}
        {actions && <p className="notice-actions">{actions}</p>}
      </div>
      {onDismiss && (
        <button type="button" className="dismiss" aria-label="Dismiss" onClick={onDismiss}>
          ×
        </button>
      )}
    </section>
  );
}
