/** The texts of the element, in English. The other languages are loaded on demand and have the same keys. */
export const en = {
  chat: "Chat",
  newChat: "New chat",
  greeting: "What can I help with today?",
  placeholder: "Message the AI",
  send: "Send message",
  stop: "Stop",
  close: "Close",
  dismiss: "Dismiss",
  retry: "Retry",
  copy: "Copy",
  copied: "Copied",
  loading: "Loading…",
  somethingWentWrong: "Something went wrong. Please try again.",
  tooManyRequests: "Too many requests. Please wait a moment and try again.",
  serverUnreachable: "The server did not answer. Please try again.",
  messageReturned: "Your message is back in the composer.",
  offline: "You are offline. Please try again when the connection is back.",
  connectionLost: "The connection was lost.",

  // Header
  leftAction: "Left action",
  rightAction: "Right action",
  back: "Back",
  settings: "Settings",
  share: "Share",
  menu: "Menu",
  home: "Home",
  more: "More",
  sidebar: "Sidebar",
  expand: "Expand",
  collapse: "Collapse",
  lightMode: "Light mode",
  darkMode: "Dark mode",

  // History
  history: "History",
};

export type Strings = typeof en;
