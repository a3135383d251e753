/** Says why the widget is not there, and what to check. */
import { Notice } from "./Notice";
import { SCRIPT_HOST, SCRIPT_TIMEOUT_MS, SCRIPT_URL, type ScriptFailure } from "./script";

const WHAT: Record<Exclude<ScriptFailure, "insecure">, string> = {
  policy: `This page's Content-Security-Policy does not allow scripts from ${SCRIPT_HOST}.`,
  blocked: `Your browser could not load the script from ${SCRIPT_HOST}.`,
  silent: `No script came from ${SCRIPT_HOST} within ${SCRIPT_TIMEOUT_MS / 1000} seconds.`,
  foreign: `Something else than the chat came in the place of the script from ${SCRIPT_HOST}, perhaps a proxy's or a network's own page.`,
};

export function ScriptNotice({ reason, onRetry }: { reason: ScriptFailure; onRetry: () => void }) {
  return reason === "insecure" ? <InsecureNotice /> : <LoadNotice what={WHAT[reason]} onRetry={onRetry} />;
}

function LoadNotice({ what, onRetry }: { what: string; onRetry: () => void }) {
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
        {what} The chat is OpenAI's ChatKit widget, which always comes from OpenAI's network and not from this server.
      </p>
      <p>What to check:</p>
      <ul>
        <li>
          <strong>Network:</strong> does{" "}
          <a href={SCRIPT_URL} target="_blank" rel="noreferrer">
            the script itself
          </a>{" "}
          open? If not, a firewall, proxy or DNS filter blocks <code>{SCRIPT_HOST}</code>, or you are offline.
        </li>
        <li>
          <strong>Ad blocker:</strong> switch ad, script and privacy blockers off for this page.
        </li>
        <li>
          <strong>Content-Security-Policy:</strong> if this page is sent with one, it must allow <code>https://{SCRIPT_HOST}</code> in{" "}
          <code>script-src</code> and <code>frame-src</code>.
        </li>
        <li>
          <strong>Domain allow-list:</strong> when the script loads but the chat stays blank, a public domain must be on the allow-list of an OpenAI
          organization. On localhost this is not needed.
        </li>
        <li>
          <strong>Secure context:</strong> the page must be opened over <code>https://</code> or on <code>localhost</code>.
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
        <code>{location.origin}</code> is plain HTTP on a name that is not this computer, so the browser does not count it as a secure context, and
        OpenAI's ChatKit widget does not start without one.
      </p>
      <p>What to do:</p>
      <ul>
        <li>
          On the computer that runs the server, open <code>{local}</code>.
        </li>
        <li>
          From elsewhere, put the server behind HTTPS, for instance with a reverse proxy, or forward its port: <code>ssh -L</code>.
        </li>
        <li>
          On a public domain, put the domain on the domain allow-list of an OpenAI organization as well.
        </li>
      </ul>
    </Notice>
  );
}
