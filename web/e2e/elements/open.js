/** Where a user finds things in the open element (web/element): by role and label wherever there is one. */

import { both } from "./both.js";

/** Matches the names of both buttons that open a menu or a panel and of its entries. */
const button = (root, name) => root.getByRole("button", { name, exact: true });

export const open = {
  ...both,
  name: "open",
  /** The server's setting that makes the page mount this element. */
  settings: { CHATKIT_WIDGET: "open" },
  /** The script of a page that embeds the element without our page. */
  script: "/element.js",

  /** Everything that the element shows is below this locator. */
  root: (page) => page.locator("openai-chatkit, open-chatkit"),
  /** The document that shows the chat. */
  frame: (page) => page.mainFrame(),

  // Composer
  composer: (root) => root.locator("[data-input]"),
  send: (root) => button(root, "Send message"),
  stop: (root) => button(root, "Stop"),
  attachments: (root) => root.locator("ck-composer").getByRole("listitem"),
  models: (root) => root.getByRole("button", { name: /model/i }),
  tools: (root) => root.getByRole("button", { name: /tools/i }),
  dictate: (root) => root.getByRole("button", { name: /dictat/i }),
  endDictation: (root) => root.getByRole("button", { name: /(stop|finish|end|accept|done)/i }).first(),

  // Thread
  userMessages: (root) => root.locator("[data-type=user_message]"),
  answers: (root) => root.locator("[data-type=assistant_message]"),
  widgets: (root) => root.locator("[data-type=widget]"),
  error: (root) => root.locator("ck-thread").getByRole("alert"),
  retryError: (root) => button(root, "Retry").last(),
  regenerate: (root) => root.getByRole("button", { name: /^(regenerate|try again|retry)/i }).last(),
  goodAnswer: (root) => root.getByRole("button", { name: /good/i }).last(),
  badAnswer: (root) => root.getByRole("button", { name: /bad/i }).last(),

  // Header and history
  newChat: (root) => button(root, "New chat").first(),
  openHistory: (root) => button(root, "History").first(),
  history: (root) => root.locator("ck-history"),
  searchHistory: (root) => root.locator("ck-history").getByRole("searchbox"),
  threads: (root) => root.locator("ck-history").getByRole("listitem"),
  threadMenu: (entry) => entry.getByRole("button", { name: /(more|options|actions)/i }),
  titleField: (root) => root.getByRole("textbox", { name: /(title|name)/i }),
};
