/**
 * What an agent can do in this page. Add your own here, under the name that the agent calls it by:
 *
 * - A tool (`@client_tool`, or chatkit's `ClientToolCall`) gets its arguments, and the agent waits for what it returns;
 *   it may be async, and what it throws is told to the agent.
 * - An effect (chatkit's `ClientEffectEvent`) gets its data, and nobody waits.
 */
import type { ChatKitOptions } from "@openai/chatkit";

import { chooseColorScheme } from "./colorScheme";

type Values = Record<string, unknown>;

const tools: Record<string, (params: Values) => Values | Promise<Values>> = {
  /** For examples/page.py: the element with that id, or all of the page. */
  read_page: ({ section }) => ({ text: (document.getElementById(String(section)) ?? document.body).innerText }),

  /** For the reader in docs/agents.md. */
  read_selection: () => ({ text: String(getSelection()) }),
};

const effects: Record<string, (data: Values) => void> = {
  /** For examples/theme.py. */
  switch_theme: ({ theme }) => chooseColorScheme(theme === "dark" ? "dark" : "light"),
};

/** Not what every object has, such as `toString`: the agent, and so the model, says the name. */
function named<T>(name: string, abilities: Record<string, T>): T | undefined {
  return Object.hasOwn(abilities, name) ? abilities[name] : undefined;
}

/** Never rejects: the widget sends nothing for a tool that fails, and the agent would wait until the next message. */
export const onClientTool: NonNullable<ChatKitOptions["onClientTool"]> = async ({ name, params }) => {
  const tool = named(name, tools);
  if (!tool) return { error: `This page has no tool ${name}; web/src/client.ts is the place for it.` };
  try {
    return await tool(params);
  } catch (error) {
    return { error: String(error) };
  }
};

export function onEffect({ name, data = {} }: { name: string; data?: Values }): void {
  const effect = named(name, effects);
  if (effect) effect(data);
  else console.warn(`This page has no effect ${name}; web/src/client.ts is the place for it.`);
}
