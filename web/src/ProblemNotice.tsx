/** Shows what went wrong in the chat. */
import { Notice } from "./Notice";
import type { SentMessage } from "./api";
import { type Problem, textOf } from "./problem";

interface Props {
  problem: Problem;
  onDismiss: () => void;
  onLoad: (threadId: string) => void;
  onSend: (message: SentMessage) => void;
}

export function ProblemNotice({ problem: { title, text, lost, threadId }, onDismiss, onLoad, onSend }: Props) {
  const loadButton = threadId && (
    <button type="button" onClick={() => onLoad(threadId)}>
      Try again
    </button>
  );
  const sendButton = lost && (
    <button type="button" onClick={() => onSend(lost)}>
      Send again
    </button>
  );
  return (
    <Notice title={title} actions={loadButton || sendButton} onDismiss={onDismiss}>
      <p>{text}</p>
      {lost && (
        <>
          <p>You wrote:</p>
          <blockquote>{textOf(lost)}</blockquote>
        </>
      )}
    </Notice>
  );
}
