/**
 * Text with tags as the plain text of an input: a tag is a range of it. After each edit the ranges follow the text. A
 * tag is atomic: who deletes a part of it deletes it, and who types into it makes it plain text.
 */
import type { Entity, UserMessageContent } from "@openai/chatkit";

export type Tag = Extract<UserMessageContent, { type: "input_tag" }>;

export interface PlacedTag {
  tag: Tag;
  start: number;
  end: number;
}

export function textOf(content: UserMessageContent[]): string {
  return content.map(({ text }) => text).join("");
}

export function placedTags(content: UserMessageContent[]): PlacedTag[] {
  const placed: PlacedTag[] = [];
  let start = 0;
  for (const part of content) {
    const end = start + part.text.length;
    if (part.type === "input_tag") placed.push({ tag: part, start, end });
    start = end;
  }
  return placed;
}

/** Returns the content after the input's text became `text`, with the caret at `caret`. */
export function edited(content: UserMessageContent[], text: string, caret: number): { content: UserMessageContent[]; caret: number } {
  const old = textOf(content);
  const tail = sharedEnd(old, text, Math.min(old.length, text.length - caret));
  const head = sharedStart(old, text, Math.min(old.length, text.length) - tail);
  const editEnd = old.length - tail; // old[head, editEnd) was replaced
  const shift = text.length - old.length;
  const isDeletion = text.length === head + tail;
  const kept: PlacedTag[] = [];
  let cut: [number, number] = [head, head];
  for (const { tag, start, end } of placedTags(content)) {
    if (end <= head) kept.push({ tag, start, end });
    else if (start >= editEnd) kept.push({ tag, start: start + shift, end: end + shift });
    else if (isDeletion) cut = [Math.min(cut[0], start), Math.max(cut[1], head + Math.max(0, end - editEnd))];
  }
  const removed = cut[1] - cut[0];
  const left = text.slice(0, cut[0]) + text.slice(cut[1]);
  const moved = kept.map(({ tag, start, end }) => (start >= cut[1] ? { tag, start: start - removed, end: end - removed } : { tag, start, end }));
  return { content: contentOf(left, moved), caret: removed ? cut[0] : caret };
}

/** Replaces a range of the text by a tag and a space, or by text. */
export function replaced(content: UserMessageContent[], start: number, end: number, insert: Tag | string): UserMessageContent[] {
  const text = textOf(content);
  const inserted = typeof insert === "string" ? insert : insert.text;
  const space = typeof insert === "string" || /^\s/.test(text.slice(end)) ? "" : " ";
  const shift = inserted.length + space.length - (end - start);
  const tags = placedTags(content)
    .filter((placed) => placed.end <= start || placed.start >= end)
    .map((placed) => (placed.start >= end ? { ...placed, start: placed.start + shift, end: placed.end + shift } : placed));
  if (typeof insert !== "string") tags.push({ tag: insert, start, end: start + inserted.length });
  tags.sort((a, b) => a.start - b.start);
  return contentOf(text.slice(0, start) + inserted + space + text.slice(end), tags);
}

export function tagOf({ id, title, group, data, interactive }: Entity): Tag {
  return { type: "input_tag", id, text: title, data: data ?? {}, ...(group !== undefined && { group }), ...(interactive !== undefined && { interactive }) };
}

export function entityOf({ id, text, group, data, interactive }: Tag): Entity {
  return { id, title: text, ...(group !== undefined && { group }), ...(data && { data: data as Record<string, string> }), ...(interactive !== undefined && { interactive }) };
}

export function contentOf(text: string, tags: PlacedTag[]): UserMessageContent[] {
  const content: UserMessageContent[] = [];
  let from = 0;
  const addText = (end: number) => {
    if (end > from) content.push({ type: "input_text", text: text.slice(from, end) });
  };
  for (const { tag, start, end } of tags) {
    addText(start);
    content.push(tag);
    from = end;
  }
  addText(text.length);
  return content;
}

function sharedStart(a: string, b: string, limit: number): number {
  let length = 0;
  while (length < limit && a[length] === b[length]) length++;
  return length;
}

function sharedEnd(a: string, b: string, limit: number): number {
  let length = 0;
  while (length < limit && a[a.length - 1 - length] === b[b.length - 1 - length]) length++;
  return length;
}
