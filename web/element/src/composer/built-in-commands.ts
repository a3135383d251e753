/** The commands that the composer has by itself, as far as they apply now. */
import type { Chat } from "../chat/chat";
import type { Composer } from "./composer";
import type { InputExtras } from "./input-extras";

export interface BuiltIn {
  id: string;
  label: string;
  icon: string;
  group: string;
  run: () => void;
}

export function builtInCommands(chat: Chat, field: InputExtras): BuiltIn[] {
  const { strings, draft, shown, options } = chat;
  const { attachments, tools = [], models = [], dictation } = options.composer ?? {};
  const { history } = options;
  const composer = field.input.closest<Composer>("ck-composer");
  const model = draft.chosenModel(options.composer ?? {});
  const commands: (Omit<BuiltIn, "group"> & { applies: boolean })[] = [
    { id: "new", label: strings.newChat, icon: "compose", applies: shown.items.size > 0, run: () => void chat.open(null) },
    { id: "attach", label: strings.attachFiles, icon: "paperclip", applies: Boolean(attachments?.enabled), run: () => composer?.attach() },
    { id: "mention", label: strings.mention, icon: "at", applies: Boolean(options.entities?.onTagSearch), run: () => field.mention() },
    { id: "dictate", label: strings.dictate, icon: "mic", applies: Boolean(dictation?.enabled), run: () => composer?.dictate() },
    { id: "history", label: strings.history, icon: "history", applies: history?.enabled !== false, run: () => chat.openHistory() },
  ];
  const actions = commands.filter(({ applies }) => applies).map(({ applies: _, ...command }) => ({ ...command, group: strings.composerActions }));
  const toolCommands = tools.map(({ id, label, icon }) => ({ id: `tool ${id}`, label, icon, group: strings.tools, run: () => draft.chooseTool(id) }));
  const others = models.filter(({ id, disabled }) => !disabled && id !== model);
  const modelCommands = others.map(({ id, label }) => ({ id: `model ${id}`, label, icon: "sparkle", group: strings.models, run: () => draft.set({ selectedModelId: id }) }));
  return [...actions, ...toolCommands, ...modelCommands];
}
