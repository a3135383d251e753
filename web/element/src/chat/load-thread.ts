/** Loads a thread with all its items, page by page. */
import type { Client } from "../protocol/client";
import { itemsIn } from "../protocol/normalise";
import type { Page, Thread, ThreadItem, ThreadMetadata } from "../protocol/wire";

const LIMIT = 9999;

export async function loadThread(client: Client, threadId: string, signal?: AbortSignal): Promise<{ thread: ThreadMetadata; items: ThreadItem[] }> {
  const { items: first, ...thread } = await client.ask<Thread>("threads.get_by_id", { thread_id: threadId }, signal);
  const items = [...first.data];
  for (let page: Page<ThreadItem> = first; page.has_more && items.length; ) {
    page = await client.ask<Page<ThreadItem>>("items.list", { thread_id: threadId, limit: LIMIT, order: "asc", after: items.at(-1)!.id }, signal);
    if (!page.data.length) break;
    items.push(...page.data);
  }
  return { thread, items: itemsIn(items) };
}
