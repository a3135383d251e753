/**
 * A stand-in for OpenAI's widget, which tests must neither fetch nor copy: an `<openai-chatkit>` written from the types
 * of `@openai/chatkit` and the observed behaviour of the widget of June 2026. It sends the same requests, dispatches the
 * same events, shows plain messages, and records everything in `window.standIn`. Served instead of the CDN's script.
 */
const record = { options: [], requests: [], events: [], deltas: 0, ignored: 0, mostStreams: 0, settleEarly: false };
window.standIn = record;

const STYLE = `
  :host { display: block; font: 15px/1.5 system-ui, "Open Sans", sans-serif; }
  .chat { display: flex; flex-direction: column; height: 100%; max-width: 46rem; margin: 0 auto; padding: .75rem; box-sizing: border-box; color: #1f2328; }
  .chat[data-scheme=dark] { color: #e6e8eb; }
  ul { list-style: none; margin: 0; padding: 0; }
  #items { flex: 1; overflow-y: auto; }
  #items > li { margin: .5rem 0; white-space: pre-wrap; overflow-wrap: anywhere; }
  #items > [data-type=user_message] { width: fit-content; max-width: 80%; margin-left: auto; padding: .375rem .75rem; border-radius: 1rem; background: #8884; }
  #items > [data-type=error] { color: #cf222e; }
  #prompts, #history { display: flex; flex-wrap: wrap; gap: .5rem; }
  form { display: flex; gap: .5rem; }
  input { flex: 1; min-width: 0; font: inherit; padding: .5rem .75rem; border: 1px solid #8888; border-radius: 1rem; background: none; color: inherit; }
`;

/** The state of one thread; a running stream keeps updating it while another thread is shown. */
class View {
  constructor(id, items) {
    this.id = id;
    this.items = new Map(items.map((item) => [item.id, item]));
    this.error = null;
    this.streams = 0;
    this.isResponding = false;
    this.mayCancel = false;
    this.call = null; // a client tool call, which runs when the stream has ended
    this.abort = null; // for the stream of the user's message; the stream of an action cannot be stopped
  }
}

class StandIn extends HTMLElement {
  #options = null;
  #frame = crypto.randomUUID();
  #view = new View(null, []);
  #live = new Map();
  #loading = 0;

  // The interface in the types of @openai/chatkit

  setOptions(options) {
    const first = this.#options === null;
    this.#options = options;
    record.options.push(options);
    this.#render();
    if (first) void this.#start();
  }

  async setThreadId(id) {
    if (id) await this.#load(id);
    else this.#show(new View(null, []));
  }

  async sendUserMessage({ text, newThread }) {
    if (newThread) this.#show(new View(null, []));
    await this.#send(text);
  }

  async focusComposer() {
    this.shadowRoot.querySelector("input").focus();
  }

  async fetchUpdates() {
    if (this.#view.id) await this.#load(this.#view.id);
  }

  async setComposerValue({ text = "" }) {
    this.shadowRoot.querySelector("input").value = text;
  }

  /** The types do not say whether it settles when the action is accepted (`settleEarly`) or when the answer ends. */
  async sendCustomAction(action, itemId) {
    await crossFrame();
    const view = this.#view;
    if (this.#loading || view.isResponding || !view.id) {
      record.ignored += 1;
      throw new Error("ignored");
    }
    const answer = this.#stream(view, "threads.custom_action", { thread_id: view.id, item_id: itemId ?? null, action });
    if (!record.settleEarly) await answer;
  }

  async showHistory() {}
  async hideHistory() {}

  // Conversations

  async #start() {
    await frames(2); // the real widget loads a frame first, so its events never fire before the page listens
    this.#emit("ready");
    const { history, initialThread } = this.#options;
    await Promise.all([history?.enabled && this.#list(), initialThread && this.#load(initialThread)]);
  }

  async #list() {
    const threads = [];
    let page = { has_more: true };
    try {
      while (page.has_more) {
        page = await this.#ask("threads.list", { limit: 9999, order: "desc", ...(threads.length && { after: threads.at(-1).id }) });
        threads.push(...page.data);
      }
    } catch (error) {
      this.#emit("error", { error });
    }
    this.shadowRoot.querySelector("#history").replaceChildren(...threads.map(this.#entry));
  }

  async #load(id) {
    if (this.#live.has(id)) return this.#show(this.#live.get(id)); // its stream is still open: show it live
    this.#loading += 1;
    this.#emit("thread.load.start", { threadId: id });
    try {
      const thread = await this.#ask("threads.get_by_id", { thread_id: id });
      const items = [...thread.items.data];
      let page = thread.items;
      while (page.has_more) {
        page = await this.#ask("items.list", { thread_id: id, limit: 9999, order: "asc", after: items.at(-1).id });
        items.push(...page.data);
      }
      this.#loading -= 1;
      this.#show(this.#live.get(id) ?? new View(id, items));
      this.#emit("thread.load.end", { threadId: id });
    } catch (error) {
      this.#loading -= 1;
      this.#emit("error", { error });
      this.#show(new View(null, []));
    }
  }

  #show(view) {
    if (this.#view !== view && this.#view.isResponding) this.#emit("response.end"); // even if the stream continues in the background
    this.#view = view;
    this.#emit("thread.change", { threadId: view.id });
    this.#render();
  }

  #send(text) {
    const view = this.#view;
    const input = { content: [{ type: "input_text", text }], quoted_text: "", attachments: [], inference_options: {} };
    return view.id ? this.#stream(view, "threads.add_user_message", { thread_id: view.id, input }) : this.#stream(view, "threads.create", { input });
  }

  #retry() {
    const view = this.#view;
    const users = [...view.items.values()].filter((item) => item.type === "user_message");
    const keptIds = [...view.items.keys()].slice(0, [...view.items.keys()].indexOf(users.at(-1).id) + 1);
    view.items = new Map(keptIds.map((id) => [id, view.items.get(id)]));
    return this.#stream(view, "threads.retry_after_item", { thread_id: view.id, item_id: users.at(-1).id });
  }

  /** Sends no request: it only closes the connection, and only for the stream of a message. */
  #stop() {
    const { abort } = this.#view;
    this.#emit("response.stop");
    abort?.abort();
  }

  // Requests and streams

  #post(type, params, headers, signal) {
    const { url, fetch = window.fetch } = this.#options.api;
    record.requests.push({ type, params, headers: { ...this.#headers(), ...headers } });
    return fetch.call(window, url, { method: "POST", headers: { ...this.#headers(), ...headers }, body: JSON.stringify({ type, params }), signal });
  }

  #headers() {
    return { "content-type": "application/json", "chatkit-frame-instance-id": this.#frame, "accept-language": "en-US" };
  }

  async #ask(type, params) {
    const response = await this.#post(type, params);
    const body = await response.json().catch(() => ({}));
    if (response.ok) return body;
    throw new Error(body.message ?? `HTTP ${response.status}`);
  }

  async #stream(view, type, params) {
    const abort = new AbortController();
    const isAction = type === "threads.custom_action";
    this.#begin(view, isAction ? null : abort);
    this.#emit("log", { name: "composer.submit", data: { type } });
    try {
      const response = await this.#post(type, params, { accept: "text/event-stream" }, abort.signal);
      if (response.ok && response.headers.get("content-type")?.startsWith("text/event-stream")) await this.#read(view, response.body);
    } catch (cause) {
      if (!abort.signal.aborted) this.#fail(view, "The connection was lost", true, cause);
    }
    abort.abort(); // after every end, not only after Stop
    this.#end(view);
    if (view.call) await this.#runTool(view);
    if (this.#options.history?.enabled) await this.#list();
  }

  async #runTool(view) {
    const { name, arguments: params } = view.call;
    view.call = null;
    const result = await this.#options.onClientTool?.({ name, params });
    await this.#stream(view, "threads.add_client_tool_output", { thread_id: view.id, result });
  }

  #begin(view, abort) {
    view.error = null;
    view.streams += 1;
    record.mostStreams = Math.max(record.mostStreams, view.streams);
    if (view.id) this.#live.set(view.id, view);
    if (!abort) return;
    view.abort = abort;
    this.#respond(view);
  }

  #respond(view) {
    if (view.isResponding) return;
    view.isResponding = true;
    this.#emit("response.start");
    this.#render();
  }

  #end(view) {
    view.streams -= 1;
    if (view.streams) return;
    this.#live.delete(view.id);
    const wasResponding = view.isResponding;
    Object.assign(view, { isResponding: false, mayCancel: false, abort: null });
    if (view === this.#view && wasResponding) this.#emit("response.end");
    this.#render();
  }

  async #read(view, body) {
    let incomplete = "";
    for await (const text of body.pipeThrough(new TextDecoderStream())) {
      const lines = (incomplete + text).split("\n");
      incomplete = lines.pop();
      for (const line of lines) if (line.startsWith("data:")) this.#apply(view, JSON.parse(line.slice(5)));
      this.#render();
    }
  }

  #apply(view, event) {
    switch (event.type) {
      case "thread.created":
        view.id = event.thread.id;
        this.#live.set(view.id, view);
        if (view === this.#view) this.#emit("thread.change", { threadId: view.id });
        return;
      case "stream_options":
        view.mayCancel = event.stream_options.allow_cancel;
        return;
      case "progress_update":
        return this.#respond(view);
      case "thread.item.added":
        this.#respond(view);
        return void view.items.set(event.item.id, event.item); // a Map keeps the position of an existing key
      case "thread.item.done":
        if (event.item.type === "client_tool_call" && event.item.status === "pending") view.call = event.item;
        return void view.items.set(event.item.id, event.item);
      case "thread.item.replaced":
        return void (view.items.has(event.item.id) && view.items.set(event.item.id, event.item));
      case "thread.item.removed":
        return void view.items.delete(event.item_id);
      case "thread.item.updated":
        return this.#update(view.items.get(event.item_id), event.update);
      case "client_effect":
        return this.#emit("effect", { name: event.name, data: event.data });
      case "error":
        return this.#fail(view, event.message ?? "An error occurred", event.allow_retry);
    }
  }

  #update(item, update) {
    if (!item) return;
    if (update.type === "assistant_message.content_part.added") item.content[update.content_index] = update.content;
    if (update.type === "assistant_message.content_part.done") item.content[update.content_index] = update.content;
    if (update.type === "assistant_message.content_part.text_delta") {
      record.deltas += 1;
      item.content[update.content_index] ??= { type: "output_text", text: "", annotations: [] };
      item.content[update.content_index].text += update.delta;
    }
  }

  #fail(view, message, allowRetry, cause) {
    view.error = { message, allowRetry };
    const error = Object.assign(new Error(message, { cause }), { name: "StreamError" });
    this.#emit("error", { error });
  }

  #emit(name, detail) {
    record.events.push({ name, ...(detail && { detail: detail.error ? { error: detail.error.message } : detail }) });
    this.dispatchEvent(new CustomEvent(`chatkit.${name}`, { detail, bubbles: true, composed: true }));
  }

  // Rendering

  #render() {
    if (!this.shadowRoot) this.#build();
    const { startScreen, composer, theme } = this.#options;
    const { items, error, isResponding, mayCancel } = this.#view;
    const find = (selector) => this.shadowRoot.querySelector(selector);
    find(".chat").dataset.scheme = theme?.colorScheme ?? theme ?? "light";
    find("input").placeholder = composer?.placeholder ?? "";
    find("#send").disabled = isResponding;
    find("#stop").hidden = !(isResponding && mayCancel);
    find("h2").textContent = items.size ? "" : startScreen?.greeting;
    find("#prompts").replaceChildren(...(items.size ? [] : (startScreen?.prompts ?? []).map(this.#prompt)));
    find("#items").replaceChildren(...[...items.values()].map(this.#message), ...(error ? [this.#errorLine(error)] : []));
  }

  #build() {
    this.attachShadow({ mode: "open" }).innerHTML = `<style>${STYLE}</style><div class="chat"><nav id="history"></nav><h2></h2><ul id="items"></ul><div id="prompts"></div>
      <form><input aria-label="Message"><button id="send">Send</button><button type="button" id="stop" hidden>Stop</button><button type="button" id="new">New chat</button></form></div>`;
    const form = this.shadowRoot.querySelector("form");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = form.querySelector("input").value;
      form.reset();
      void this.#send(text);
    });
    form.querySelector("#stop").addEventListener("click", () => this.#stop());
    form.querySelector("#new").addEventListener("click", () => this.#show(new View(null, [])));
  }

  #prompt = ({ label, prompt }) => button(label, () => this.#send(prompt));
  #entry = ({ id, title }) => Object.assign(button(title ?? id, () => this.#load(id)), { name: id });

  #message = (item) => {
    const line = document.createElement("li");
    line.dataset.type = item.type;
    line.dataset.id = item.id;
    line.textContent = item.content?.map?.((part) => part.text).join("") ?? `[${item.type}]`;
    if (item.type === "assistant_message" && this.#options.threadItemActions?.feedback) {
      line.append(button("Good answer", () => this.#ask("items.feedback", { thread_id: this.#view.id, item_ids: [item.id], kind: "positive" })));
    }
    return line;
  };

  #errorLine({ message, allowRetry }) {
    const line = document.createElement("li");
    line.dataset.type = "error";
    line.textContent = message;
    if (allowRetry) line.append(button("Retry", () => this.#retry()));
    return line;
  }
}

/** A call of the real widget is a message to its frame, so two calls may be pending at once. */
function crossFrame() {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = resolve;
    port2.postMessage(null);
  });
}

async function frames(number) {
  for (let i = 0; i < number; i++) await new Promise(requestAnimationFrame);
}

function button(label, onClick) {
  const element = Object.assign(document.createElement("button"), { type: "button", textContent: label });
  element.addEventListener("click", onClick);
  return element;
}

customElements.define("openai-chatkit", StandIn);
