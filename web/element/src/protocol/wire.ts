/** The protocol's objects, as `chatkit/types.py` 1.6 defines them. Fields that the element does not read are left out. */
import type { Attachment, UserMessageContent, Widgets } from "@openai/chatkit";

export type { Attachment, UserMessageContent };

export interface Page<T> {
  data: T[];
  has_more: boolean;
  after?: string | null;
}

export interface ThreadMetadata {
  id: string;
  title?: string | null;
  created_at: string;
  status?: { type: "active" } | { type: "locked" | "closed"; reason?: string | null };
  allowed_image_domains?: string[] | null;
}

export interface Thread extends ThreadMetadata {
  items: Page<ThreadItem>;
}

interface ItemBase {
  id: string;
  thread_id: string;
  created_at: string;
}

export interface InferenceOptions {
  tool_choice?: { id: string } | null;
  model?: string | null;
}

export interface UserMessageItem extends ItemBase {
  type: "user_message";
  content: UserMessageContent[];
  attachments: Attachment[];
  quoted_text?: string | null;
  inference_options: InferenceOptions;
}

export interface UrlSource {
  type: "url";
  title: string;
  url: string;
  description?: string | null;
  timestamp?: string | null;
  group?: string | null;
  attribution?: string | null;
}

export interface FileSource {
  type: "file";
  title: string;
  filename: string;
  description?: string | null;
  timestamp?: string | null;
  group?: string | null;
}

export interface EntitySource {
  type: "entity";
  title: string;
  id: string;
  icon?: string | null;
  label?: string | null;
  inline_label?: string | null;
  interactive?: boolean;
  description?: string | null;
  timestamp?: string | null;
  group?: string | null;
  data?: Record<string, unknown>;
}

export type Source = UrlSource | FileSource | EntitySource;

export interface Annotation {
  type: "annotation";
  source: Source;
  /** The offset in the text after which the citation stands; null puts it at the end. */
  index?: number | null;
}

export interface OutputText {
  type: "output_text";
  text: string;
  annotations: Annotation[];
}

export interface AssistantMessageItem extends ItemBase {
  type: "assistant_message";
  content: OutputText[];
}

export interface ClientToolCallItem extends ItemBase {
  type: "client_tool_call";
  status: "pending" | "completed";
  call_id: string;
  name: string;
  arguments: Record<string, unknown>;
}

export type WidgetRoot = Widgets.WidgetRoot;
export type WidgetNode = { type: string; id?: string; key?: string } & Record<string, unknown>;

export interface WidgetItem extends ItemBase {
  type: "widget";
  widget: WidgetRoot;
  copy_text?: string | null;
}

export interface GeneratedImageItem extends ItemBase {
  type: "generated_image";
  image?: { id: string; url: string } | null;
}

export interface Answer {
  values: string[];
  skipped: boolean;
}

interface QuestionBase {
  id: string;
  question: string;
  answer?: Answer | null;
}

export type Question =
  | (QuestionBase & { type: "multiple_choice"; options: { value: string }[]; multiple?: boolean })
  | (QuestionBase & { type: "freeform"; description?: string | null });

export interface StructuredInputItem extends ItemBase {
  type: "structured_input";
  status: "pending" | "answered" | "skipped";
  inputs: Question[];
}

interface TaskBase {
  status_indicator?: "none" | "loading" | "complete";
  title?: string | null;
}

export type Task =
  | (TaskBase & { type: "custom"; icon?: string | null; content?: string | null })
  | (TaskBase & { type: "web_search"; title_query?: string | null; queries?: string[]; sources?: UrlSource[] })
  | (TaskBase & { type: "thought"; content: string })
  | (TaskBase & { type: "file"; sources?: FileSource[] })
  | (TaskBase & { type: "image" });

export interface Workflow {
  type: "custom" | "reasoning";
  tasks: Task[];
  /** `duration` is in seconds. */
  summary?: { title: string; icon?: string | null } | { duration: number } | null;
  expanded?: boolean;
}

export interface TaskItem extends ItemBase {
  type: "task";
  task: Task;
}

export interface WorkflowItem extends ItemBase {
  type: "workflow";
  workflow: Workflow;
}

export interface EndOfTurnItem extends ItemBase {
  type: "end_of_turn";
}

/** Other types, of later versions, are ignored. */
export type ThreadItem =
  | UserMessageItem
  | AssistantMessageItem
  | ClientToolCallItem
  | WidgetItem
  | GeneratedImageItem
  | StructuredInputItem
  | TaskItem
  | WorkflowItem
  | EndOfTurnItem;

export type ItemUpdate =
  | { type: "assistant_message.content_part.added"; content_index: number; content: OutputText }
  | { type: "assistant_message.content_part.text_delta"; content_index: number; delta: string }
  | { type: "assistant_message.content_part.annotation_added"; content_index: number; annotation_index: number; annotation: Annotation }
  | { type: "assistant_message.content_part.done"; content_index: number; content: OutputText }
  | { type: "widget.streaming_text.value_delta"; component_id: string; delta: string; done: boolean }
  | { type: "widget.root.updated"; widget: WidgetRoot }
  | { type: "widget.component.updated"; component_id: string; component: WidgetNode }
  | { type: "workflow.task.added"; task_index: number; task: Task }
  | { type: "workflow.task.updated"; task_index: number; task: Task }
  | { type: "generated_image.updated"; image: { id: string; url: string }; progress?: number | null };

export interface ProgressUpdate {
  type: "progress_update";
  icon?: string | null;
  text: string;
}

export interface NoticeEvent {
  type: "notice";
  level: "info" | "warning" | "danger";
  /** Markdown. */
  message: string;
  title?: string | null;
}

export interface ErrorEvent {
  type: "error";
  code: string;
  message?: string | null;
  allow_retry?: boolean;
}

export type StreamEvent =
  | { type: "thread.created"; thread: ThreadMetadata }
  | { type: "thread.updated"; thread: ThreadMetadata }
  | { type: "thread.item.added"; item: ThreadItem }
  | { type: "thread.item.updated"; item_id: string; update: ItemUpdate }
  | { type: "thread.item.done"; item: ThreadItem }
  | { type: "thread.item.removed"; item_id: string }
  | { type: "thread.item.replaced"; item: ThreadItem }
  | { type: "stream_options"; stream_options: { allow_cancel: boolean } }
  | ProgressUpdate
  | { type: "client_effect"; name: string; data?: Record<string, unknown> }
  | ErrorEvent
  | NoticeEvent;

/** What is sent as the input of a message; attachments are ids. */
export interface UserMessageInput {
  content: UserMessageContent[];
  quoted_text: string;
  attachments: string[];
  inference_options: InferenceOptions;
}

export interface Action {
  type: string;
  payload?: unknown;
}
