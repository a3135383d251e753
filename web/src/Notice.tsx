/** A panel in place of the chat, with what to check; screen readers announce it immediately. */
import type { ReactNode } from "react";

interface Props {
  title: string;
  children: ReactNode;
  actions?: ReactNode;
}

export function Notice({ title, children, actions }: Props) {
  return (
    <section className="notice" role="alert">
      <h2>{title}</h2>
      {children}
      {actions && <p className="notice-actions">{actions}</p>}
    </section>
  );
}
