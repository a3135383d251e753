/** Says why OpenAI's element is missing, where it was chosen (`CHATKIT_WIDGET=stock`), and what to check. */
import { Notice } from "./Notice";
import { SCRIPT_HOST, SCRIPT_URL, type ScriptFailure } from "./stockScript";
import { STOCK_TIMEOUT_MS } from "./widget";

const CAUSES: Record<Exclude<ScriptFailure, "insecure">, string> = {
  policy: `This page's Content-Security-Policy does not allow scripts from ${SCRIPT_HOST}.`,
  blocked: `Your browser could not load the script from ${SCRIPT_HOST}.`,
  silent: `${SCRIPT_HOST} did not send the script within ${STOCK_TIMEOUT_MS / 1000} seconds.`,
  foreign: `The response from ${SCRIPT_HOST} is not the chat widget; perhaps it is the page of a proxy or a network login.`,
};

export function ScriptNotice({ reason, onRetry }: { reason: ScriptFailure; onRetry: () => void }) {
  return reason === "insecure" ? <InsecureNotice /> : <LoadNotice cause={CAUSES[reason]} onRetry={onRetry} />;
}

function LoadNotice({ cause, onRetry }: { cause: string; onRetry: () => void }) {
  return (
    <Notice
      title="The chat could not be loaded"
      actions={
        <button type="button" onClick={onRetry}>
          Try again
        </button>
      }
    >
      <p>
        {cause} The chat is OpenAI's ChatKit widget, which is loaded from OpenAI's network, not from this server.
      </p>
      <p>What to check:</p>
      <ul>
        <li>
          <strong>Network:</strong> does{" "}
          <a href={SCRIPT_URL} target="_blank" rel="noreferrer">
            the script
          </a>{" "}
          open in a new tab? If not, a firewall, proxy or DNS filter blocks <code>{SCRIPT_HOST}</code>, or you are offline.
        </li>
        <li>
          <strong>Ad blocker:</strong> turn off ad, script and privacy blockers for this page.
        </li>
        <li>
          <strong>Content-Security-Policy:</strong> if this page has one, it must allow <code>https://{SCRIPT_HOST}</code> in{" "}
          <code>script-src</code> and <code>frame-src</code>.
        </li>
        <li>
          <strong>Domain allow-list:</strong> if the script loads but the chat stays blank, add your public domain to the allow-list of an OpenAI
          organization. On localhost this is not needed.
        </li>
        <li>
          <strong>Secure context:</strong> the page must be opened over <code>https://</code> or on <code>localhost</code>.
        </li>
        <li>
          <strong>Without OpenAI's network:</strong> start the server with <code>CHATKIT_WIDGET=auto</code>, and this page shows the chat that comes with
          the server instead.
        </li>
      </ul>
    </Notice>
  );
}

function InsecureNotice() {
  const local = `http://localhost${location.port ? `:${location.port}` : ""}/`;
  return (
    <Notice title="The chat cannot run on this address">
      <p>
        <code>{location.origin}</code> is plain HTTP and not localhost, so the browser does not treat it as a secure context. OpenAI's ChatKit widget
        does not start without one.
      </p>
      <p>What to do:</p>
      <ul>
        <li>
          On the computer that runs the server, open <code>{local}</code>.
        </li>
        <li>
          From another computer, put the server behind HTTPS, for example with a reverse proxy, or forward its port with <code>ssh -L</code>.
        </li>
        <li>
          Also add a public domain to the domain allow-list of an OpenAI organization.
        </li>
      </ul>
    </Notice>
  );
}
