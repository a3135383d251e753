/** What the start screen offers: only things that the model which answers is able to do. */
import type { StartScreenPrompt } from "@openai/chatkit";

import type { Model } from "./health";

const TOOLS: StartScreenPrompt[] = [
  { label: "What time is it?", prompt: "What time is it in Europe/Paris?", icon: "clock" },
  { label: "Do a calculation", prompt: "Calculate 17.5 * 1240 / 100", icon: "analytics" },
];

const DEMO: StartScreenPrompt[] = [
  ...TOOLS,
  { label: "Show me markdown", prompt: "Show me markdown", icon: "notebook" },
  { label: "Think before you answer", prompt: "Show me a reasoning block", icon: "lightbulb" },
];

const CAPABLE: StartScreenPrompt[] = [
  ...TOOLS,
  { label: "Compare two things", prompt: "Compare SQLite and PostgreSQL in a short table.", icon: "notebook" },
  { label: "Explain something", prompt: "Explain in three sentences how a web page gets to my screen.", icon: "lightbulb" },
];

/** The embedded model is small and calls no tools. */
const SMALL: StartScreenPrompt[] = [
  { label: "Say hello", prompt: "Hello! Who are you?", icon: "sparkle" },
  { label: "Write a poem", prompt: "Write a short poem about the sea.", icon: "write" },
  { label: "Explain rain", prompt: "Explain in simple words why it rains.", icon: "lightbulb" },
  { label: "Find ideas", prompt: "Give me three ideas for a rainy Sunday.", icon: "compass" },
];

/** The prompts that suit a model. */
export function promptsFor(model: Model | null): StartScreenPrompt[] {
  switch (model?.provider) {
    case "demo":
      return DEMO;
    case "embedded":
      return SMALL;
    default:
      return CAPABLE;
  }
}
