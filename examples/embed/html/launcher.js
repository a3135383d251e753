/** A floating button that opens a chat: in a corner of the window, or full screen on a phone. Copy it into your page. */

const OPEN_ICON = "M4 5.5A2.5 2.5 0 0 1 6.5 3h11A2.5 2.5 0 0 1 20 5.5v8a2.5 2.5 0 0 1-2.5 2.5H10l-4.2 3.6a.5.5 0 0 1-.8-.4V16A2.5 2.5 0 0 1 4 13.5z";
const CLOSE_ICON = "m6 9 6 6 6-6";
/** Where the tab keeps its thread, so that the chat goes on after the next page has loaded. */
const THREAD = "chat-launcher-thread";

/**
 * Adds the button to the page. `server` is the address of your chatkit-server, `options` are those of the element, without
 * `api`; `label` names the button. The chat is loaded when it is opened first, and then stays as it is while it is closed.
 */
export function addLauncher({ server, options = {}, label = "Chat" }) {
  const panel = document.createElement("dialog");
  panel.className = "chat-panel";
  panel.setAttribute("aria-label", label);
  panel.id = "chat-panel";

  const button = document.createElement("button");
  button.type = "button";
  button.className = "chat-launcher";
  button.setAttribute("aria-controls", panel.id);
  document.body.append(button, panel);
  show(false);

  let chat = null;
  button.addEventListener("click", () => (panel.open ? close() : open()));
  panel.addEventListener("close", () => show(false));
  // A dialog that is not modal has no Escape of its own. The chat uses Escape first, for its menus.
  panel.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.defaultPrevented) close();
  });

  async function open() {
    panel.show(); // not modal: the page stays usable beside it
    show(true);
    chat ??= load();
    try {
      await (await chat).focusComposer();
    } catch (error) {
      console.error(error);
      chat = null; // the next click tries again
      panel.textContent = "The chat could not be loaded. Please try again later.";
    }
  }

  function close() {
    panel.close();
    button.focus();
  }

  function show(isOpen) {
    button.setAttribute("aria-expanded", String(isOpen));
    button.setAttribute("aria-label", isOpen ? `Close ${label}` : `Open ${label}`);
    button.replaceChildren(icon(isOpen ? CLOSE_ICON : OPEN_ICON));
  }

  async function load() {
    await loadScript(`${server}/element.js`);
    const element = document.createElement("openai-chatkit");
    const ready = new Promise((resolve) => element.addEventListener("chatkit.ready", resolve, { once: true }));
    element.addEventListener("chatkit.thread.change", ({ detail: { threadId } }) => {
      if (threadId) sessionStorage.setItem(THREAD, threadId);
      else sessionStorage.removeItem(THREAD);
    });
    element.setOptions({
      initialThread: sessionStorage.getItem(THREAD),
      api: {
        url: `${server}/chatkit`,
        domainKey: "local",
        fetch: (input, init) => fetch(input, { ...init, credentials: "include" }),
        uploadStrategy: { type: "two_phase" },
      },
      header: { rightAction: { icon: "close", onClick: close } },
      ...options,
    });
    panel.replaceChildren(element);
    await ready;
    return element;
  }
}

function loadScript(src) {
  return new Promise((resolve, reject) => {
    const script = Object.assign(document.createElement("script"), { src, crossOrigin: "anonymous", onload: resolve });
    script.onerror = () => {
      script.remove();
      reject(new Error(`${src} could not be loaded`));
    };
    document.head.append(script);
  });
}

function icon(path) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const shape = document.createElementNS("http://www.w3.org/2000/svg", "path");
  shape.setAttribute("d", path);
  svg.append(shape);
  return svg;
}
