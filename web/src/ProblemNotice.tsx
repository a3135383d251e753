/** Shows what went wrong in the chat. */
import { Notice } from "./Notice";
import type { Problem } from "./problem";

interface Props {
  problem: Problem;
  onDismiss: () => void;
  onLoad: (threadId: string) => void;
}

export function ProblemNotice({ problem: { title, text, lostText, threadId }, onDismiss, onLoad }: Props) {
  const retryButton = threadId && (
    <button type="button" onClick={() => onLoad(threadId)}>
      Try again
    </button>
  );
  return (
    <Notice title={title} actions={retryButton} onDismiss={onDismiss}>
      <p>{text}</p>
      {lostText && (
        <>
          <p>You wrote:</p>
          <blockquote>{lostText}</blockquote>
        </>
      )}
    </Notice>
  );
}
