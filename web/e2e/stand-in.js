/**
 * A stand-in for OpenAI's widget, which tests must neither fetch nor copy: an `<openai-chatkit>` written from
 * PROTOCOL.md and the types of `@openai/chatkit`. It keeps what it is given in `window.standIn`, posts what the real
 * one posts, dispatches its events, and shows plain messages. Loaded by the page in the place of the CDN's script.
 */
const record = { options: [], requests: [], events: [], deltas: 0 };
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

class StandIn extends HTMLElement {
  #options = null;
  #frame = crypto.randomUUID();
  #thread = null;
  #items = new Map();
  #threads = [];
  #error = null;

  // What the types of @openai/chatkit promise

  setOptions(options) {
    const first = this.#options === null;
    this.#options = options;
    record.options.push(options);
    this.#render();
    if (first) void this.#start();
  }

  async setThreadId(id) {
    if (id) await this.#load(id);
    else this.#show(null, []);
  }

  async sendUserMessage({ text, newThread }) {
    if (newThread) this.#show(null, []);
    await this.#send(text);
  }

  async focusComposer() {
    this.shadowRoot.querySelector("input").focus();
  }

  async fetchUpdates() {
    if (this.#thread) await this.#load(this.#thread);
  }

  async setComposerValue({ text = "" }) {
    this.shadowRoot.querySelector("input").value = text;
  }

  async sendCustomAction(action, itemId) {
    await this.#stream("threads.custom_action", { thread_id: this.#thread, item_id: itemId ?? null, action });
  }

  async showHistory() {}
  async hideHistory() {}

  // Conversations

  async #start() {
    await frames(2); // the real one loads a frame first, so its events never come before the page listens
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
    this.#threads = threads;
    this.#render();
  }

  async #load(id) {
    this.#emit("thread.load.start", { threadId: id });
    try {
      const thread = await this.#ask("threads.get_by_id", { thread_id: id });
      const items = [...thread.items.data];
      let page = thread.items;
      while (page.has_more) {
        page = await this.#ask("items.list", { thread_id: id, limit: 9999, order: "asc", after: items.at(-1).id });
        items.push(...page.data);
      }
      this.#show(id, items);
      this.#emit("thread.load.end", { threadId: id });
    } catch (error) {
      this.#emit("error", { error });
      this.#show(null, []);
    }
  }

  #show(id, items) {
    this.#thread = id;
    this.#items = new Map(items.map((item) => [item.id, item]));
    this.#error = null;
    this.#emit("thread.change", { threadId: id });
    this.#render();
  }

  #send(text) {
    const input = { content: [{ type: "input_text", text }], quoted_text: "", attachments: [], inference_options: {} };
    return this.#thread ? this.#stream("threads.add_user_message", { thread_id: this.#thread, input }) : this.#stream("threads.create", { input });
  }

  #retry() {
    const users = [...this.#items.values()].filter((item) => item.type === "user_message");
    const kept = [...this.#items.keys()].slice(0, [...this.#items.keys()].indexOf(users.at(-1).id) + 1);
    this.#items = new Map(kept.map((id) => [id, this.#items.get(id)]));
    return this.#stream("threads.retry_after_item", { thread_id: this.#thread, item_id: users.at(-1).id });
  }

  // The wire

  #post(type, params, headers) {
    const { url, fetch = window.fetch } = this.#options.api;
    record.requests.push({ type, params, headers: { ...this.#headers(), ...headers } });
    return fetch.call(window, url, { method: "POST", headers: { ...this.#headers(), ...headers }, body: JSON.stringify({ type, params }) });
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

  async #stream(type, params) {
    this.#error = null;
    this.#emit("response.start");
    this.#emit("log", { name: "composer.submit", data: { type } });
    try {
      const response = await this.#post(type, params, { accept: "text/event-stream" });
      if (response.ok && response.headers.get("content-type")?.startsWith("text/event-stream")) await this.#read(response.body);
    } catch (cause) {
      this.#fail("The connection was lost", true, cause);
    }
    this.#emit("response.end");
    this.#render();
    if (this.#options.history?.enabled) await this.#list();
  }

  async #read(body) {
    let rest = "";
    for await (const text of body.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop();
      for (const line of lines) if (line.startsWith("data:")) this.#apply(JSON.parse(line.slice(5)));
      this.#render();
    }
  }

  #apply(event) {
    switch (event.type) {
      case "thread.created":
        this.#thread = event.thread.id;
        return this.#emit("thread.change", { threadId: this.#thread });
      case "thread.item.added":
      case "thread.item.done":
      case "thread.item.replaced":
        return void this.#items.set(event.item.id, event.item);
      case "thread.item.removed":
        return void this.#items.delete(event.item_id);
      case "thread.item.updated":
        return this.#update(this.#items.get(event.item_id), event.update);
      case "error":
        return this.#fail(event.message ?? "An error occurred", event.allow_retry);
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

  #fail(message, allowRetry, cause) {
    this.#error = { message, allowRetry };
    const error = Object.assign(new Error(message, { cause }), { name: "StreamError" });
    this.#emit("error", { error });
  }

  #emit(name, detail) {
    record.events.push({ name, ...(detail && { detail: detail.error ? { error: detail.error.message } : detail }) });
    this.dispatchEvent(new CustomEvent(`chatkit.${name}`, { detail, bubbles: true, composed: true }));
  }

  // The looks

  #render() {
    if (!this.shadowRoot) this.#build();
    const { startScreen, composer, theme } = this.#options;
    const find = (selector) => this.shadowRoot.querySelector(selector);
    find(".chat").dataset.scheme = theme?.colorScheme ?? theme ?? "light";
    find("input").placeholder = composer?.placeholder ?? "";
    find("h2").textContent = this.#items.size ? "" : startScreen?.greeting;
    find("#prompts").replaceChildren(...(this.#items.size ? [] : (startScreen?.prompts ?? []).map(this.#prompt)));
    find("#history").replaceChildren(...this.#threads.map(this.#entry));
    find("#items").replaceChildren(...[...this.#items.values()].map(this.#message), ...(this.#error ? [this.#errorLine()] : []));
  }

  #build() {
    this.attachShadow({ mode: "open" }).innerHTML = `<style>${STYLE}</style><div class="chat"><nav id="history"></nav><h2></h2><ul id="items"></ul><div id="prompts"></div>
      <form><input aria-label="Message"><button>Send</button><button type="button" id="new">New chat</button></form></div>`;
    const form = this.shadowRoot.querySelector("form");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = form.querySelector("input").value;
      form.reset();
      void this.#send(text);
    });
    form.querySelector("#new").addEventListener("click", () => this.#show(null, []));
  }

  #prompt = ({ label, prompt }) => button(label, () => this.#send(prompt));
  #entry = ({ id, title }) => Object.assign(button(title ?? id, () => this.#load(id)), { name: id });

  #message = (item) => {
    const line = document.createElement("li");
    line.dataset.type = item.type;
    line.dataset.id = item.id;
    line.textContent = item.content?.map?.((part) => part.text).join("") ?? `[${item.type}]`;
    const { feedback, retry } = this.#options.threadItemActions ?? {};
    if (item.type === "assistant_message") {
      const rate = () => this.#ask("items.feedback", { thread_id: this.#thread, item_ids: [item.id], kind: "positive" });
      line.append(...(feedback ? [button("Good answer", rate)] : []), ...(retry ? [button("Regenerate", () => this.#retry())] : []));
    }
    return line;
  };

  #errorLine() {
    const line = document.createElement("li");
    line.dataset.type = "error";
    line.textContent = this.#error.message;
    if (this.#error.allowRetry) line.append(button("Retry", () => this.#retry()));
    return line;
  }
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
