/**
 * What an agent can do in this page. Add your own functions here, under the names that the agent uses:
 *
 * - A tool (`@client_tool`, or chatkit's `ClientToolCall`) gets its arguments, and the agent waits for its result. It
 *   may be async; the agent also gets what it throws.
 * - An effect (chatkit's `ClientEffectEvent`) gets its data; the agent does not wait.
 */
import type { ChatKitOptions } from "@openai/chatkit";

import { chooseColorScheme } from "./colorScheme";

type Values = Record<string, unknown>;

const tools: Record<string, (params: Values) => Values | Promise<Values>> = {
  /** For examples/page.py: the text of the element with that id, or of the whole page. */
  read_page: ({ section }) => ({ text: (document.getElementById(String(section)) ?? document.body).innerText }),

  /** For the example in docs/agents.md. */
  read_selection: () => ({ text: String(getSelection()) }),
};

const effects: Record<string, (data: Values) => void> = {
  /** For examples/theme.py. */
  switch_theme: ({ theme }) => chooseColorScheme(theme === "dark" ? "dark" : "light"),
};

/** Ignores inherited properties such as `toString`: the model chooses the name. */
function lookUp<T>(name: string, abilities: Record<string, T>): T | undefined {
  return Object.hasOwn(abilities, name) ? abilities[name] : undefined;
}

/** Never rejects: the widget sends nothing for a failed tool, and the agent would wait until the next message. */
export const onClientTool: NonNullable<ChatKitOptions["onClientTool"]> = async ({ name, params }) => {
  const tool = lookUp(name, tools);
  if (!tool) return { error: `This page has no tool ${name}; add it to web/src/client.ts.` };
  try {
    return await tool(params);
  } catch (error) {
    return { error: String(error) };
  }
};

export function onEffect({ name, data = {} }: { name: string; data?: Values }): void {
  const effect = lookUp(name, effects);
  if (effect) effect(data);
  else console.warn(`This page has no effect ${name}; add it to web/src/client.ts.`);
}
