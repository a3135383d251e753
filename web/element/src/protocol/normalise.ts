/**
 * Makes items safe to render: a server of another version, or a faulty one, may leave fields out. Items without an id
 * are dropped, missing lists become empty ones, and texts are strings.
 */
import type { Annotation, OutputText, Task, ThreadItem, UserMessageContent, Workflow } from "./wire";

type Fields = Record<string, unknown>;

export function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Returns null for what is no item. Types that the element does not know keep their fields: they are not shown. */
export function itemOf(value: unknown): ThreadItem | null {
  if (!isObject(value) || typeof value.id !== "string" || typeof value.type !== "string") return null;
  const item: Fields = { ...value, created_at: textOf(value.created_at), thread_id: textOf(value.thread_id) };
  switch (value.type) {
    case "user_message":
      item.content = objectsIn(value.content).map(userContentOf);
      item.attachments = objectsIn(value.attachments);
      break;
    case "assistant_message":
      item.content = objectsIn(value.content).map(contentOf);
      break;
    case "workflow":
      item.workflow = workflowOf(value.workflow);
      break;
    case "task":
      item.task = taskOf(value.task);
      break;
    case "generated_image":
      item.image = imageOf(value.image);
      break;
    case "structured_input":
      item.inputs = objectsIn(value.inputs);
      break;
    case "client_tool_call":
      item.arguments = isObject(value.arguments) ? value.arguments : {};
      break;
    case "widget":
      if (!isObject(value.widget)) return null;
  }
  return item as unknown as ThreadItem;
}

export function itemsIn(values: unknown): ThreadItem[] {
  return Array.isArray(values) ? values.flatMap((value) => itemOf(value) ?? []) : [];
}

export function contentOf(value: unknown): OutputText {
  const { text, annotations } = isObject(value) ? value : {};
  return { type: "output_text", text: textOf(text), annotations: objectsIn(annotations).filter(isAnnotation) };
}

export function isAnnotation(value: unknown): value is Annotation & Fields {
  return isObject(value) && isObject(value.source) && typeof value.source.title === "string";
}

export function taskOf(value: unknown): Task {
  const task = isObject(value) ? value : {};
  const lists = { ...(task.queries !== undefined && { queries: stringsIn(task.queries) }), ...(task.sources !== undefined && { sources: objectsIn(task.sources) }) };
  return { ...task, ...lists, type: textOf(task.type) || "custom", content: textOf(task.content) } as Task;
}

export function imageOf(value: unknown): { id: string; url: string } | null {
  return isObject(value) && typeof value.url === "string" ? { id: textOf(value.id), url: value.url } : null;
}

function workflowOf(value: unknown): Workflow {
  const workflow = isObject(value) ? value : {};
  return { ...workflow, type: textOf(workflow.type), tasks: objectsIn(workflow.tasks).map(taskOf), summary: isObject(workflow.summary) ? workflow.summary : null } as Workflow;
}

function userContentOf(value: Fields): UserMessageContent {
  return { ...value, type: value.type === "input_tag" ? "input_tag" : "input_text", text: textOf(value.text) } as UserMessageContent;
}

function objectsIn(value: unknown): Fields[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

function stringsIn(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((entry) => typeof entry === "string") : [];
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
