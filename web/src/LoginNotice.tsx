/** In place of the chat where the server asks for a login; on a developer's computer, also how to get one. */
import { enterCredential, isLocal, wasRefused } from "./login";
import { Notice } from "./Notice";
import { texts } from "./texts";

export function LoginNotice({ onRetry }: { onRetry: () => void }) {
  return (
    <>
      <Notice
        title={texts.loginNeeded}
        actions={
          <button type="button" onClick={onRetry}>
            {texts.tryAgain}
          </button>
        }
      >
        <p>{texts.loginNeededWhy}</p>
      </Notice>
      {isLocal && <ForDevelopers onEntered={onRetry} />}
    </>
  );
}

/** English, as everything for those who run the server. */
function ForDevelopers({ onEntered }: { onEntered: () => void }) {
  return (
    <section className="notice aside" lang="en" dir="ltr">
      <h2>If this is your server</h2>
      <p>
        <code>CHATKIT_AUTH</code> or <code>create_app(auth=…)</code> asks for a login, and this page's requests have none that it knows.
      </p>
      <ul>
        <li>
          <code>session</code>: <code>chatkit-server token --user ada</code> prints a client secret. Enter it here.
        </li>
        <li>
          <code>jwt</code>: enter an access token of your issuer here.
        </li>
        <li>
          <code>header</code>: open the page through the proxy that logs people in.
        </li>
        <li>Your own login by cookie: log in at {location.origin}, and try again.</li>
        <li>
          To try the chat without a login, start the server with <code>CHATKIT_AUTH=none</code>.
        </li>
      </ul>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          enterCredential(String(new FormData(event.currentTarget).get("credential")));
          onEntered();
        }}
      >
        <label>
          Client secret or token
          <input name="credential" type="password" autoComplete="off" spellCheck={false} required />
        </label>
        <button type="submit">Use it in this tab</button>
      </form>
      {wasRefused() && <p role="alert">The server has refused that one. Its log says why.</p>}
    </section>
  );
}
