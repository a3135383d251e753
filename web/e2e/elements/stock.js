/**
 * Where a user finds things in OpenAI's element. It shows everything in an iframe from its CDN, and its labels are not
 * documented: these locators follow the types of `@openai/chatkit`, ARIA roles and the two `data-thread-item` names that
 * other people's tests rely on. Whoever has a build (CHATKIT_STOCK_DIR) corrects them here; an entry of both.js may be replaced, too.
 */
import { both } from "./both.js";

const button = (root, name) => root.getByRole("button", { name });

export const stock = {
  ...both,
  name: "stock",
  settings: { CHATKIT_WIDGET: "stock" },
  script: "https://cdn.platform.openai.com/deployments/chatkit/chatkit.js",

  root: (page) => page.frameLocator("openai-chatkit iframe"),
  frame: (page) => page.frames().find((frame) => frame !== page.mainFrame()),

  // Composer
  composer: (root) => root.getByRole("textbox").last(),
  send: (root) => button(root, /send/i).last(),
  stop: (root) => button(root, /stop/i).last(),
  attachments: (root) => root.locator("form, [data-composer]").getByRole("listitem"),
  models: (root) => button(root, /model/i).last(),
  tools: (root) => button(root, /(tools|add)/i).last(),
  dictate: (root) => button(root, /(dictat|microphone|voice)/i).last(),
  endDictation: (root) => button(root, /(stop|finish|accept|done)/i).last(),

  // Thread
  userMessages: (root) => root.locator('[data-thread-item="user-message"]'),
  answers: (root) => root.locator('[data-thread-item="assistant-message"]'),
  widgets: (root) => root.locator('[data-thread-item="widget"]'),
  error: (root) => root.getByRole("alert").or(root.locator('[data-thread-item="error"]')),
  retryError: (root) => button(root, /retry/i).last(),
  regenerate: (root) => button(root, /(regenerate|retry|try again)/i).last(),
  goodAnswer: (root) => button(root, /(good|thumbs up|like)/i).last(),
  badAnswer: (root) => button(root, /(bad|thumbs down|dislike)/i).last(),

  // Header and history
  newChat: (root) => button(root, /new (chat|thread|conversation)/i).first(),
  openHistory: (root) => button(root, /history/i).first(),
  history: (root) => root.getByRole("dialog").or(root.getByRole("navigation")).last(),
  searchHistory: (root) => root.getByRole("searchbox").or(root.getByPlaceholder(/search/i)).first(),
  threads: (root) => root.getByRole("dialog").or(root.getByRole("navigation")).last().getByRole("listitem"),
  threadMenu: (entry) => entry.getByRole("button", { name: /(more|options|actions|menu)/i }).last(),
  titleField: (root) => root.getByRole("textbox", { name: /(title|name|rename)/i }).last(),
};
