/** What the chat is doing, for the status line. */
export type Activity = "loading" | "ready" | "answering" | "error";
