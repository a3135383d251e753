/** The user's threads, for the history. The first time, each page is shown as it arrives: the newest come first. */
import { Observable } from "../observable";
import type { Client } from "../protocol/client";
import type { Page, ThreadMetadata } from "../protocol/wire";

const LIMIT = 9999;

export class ThreadList extends Observable {
  threads: ThreadMetadata[] = [];
  isLoading = false;
  error: Error | null = null;

  /** The list was wanted again while it was being loaded: what arrives may be older than the wish. */
  private isOutdated = false;
  /** Changes when what is being loaded is not wanted any more. */
  private source = 0;

  constructor(private readonly client: Client) {
    super();
  }

  /** Forgets all: they are of another server. */
  clear(): void {
    this.source++;
    this.isLoading = false;
    this.show([]);
  }

  async load(): Promise<void> {
    if (this.isLoading) {
      this.isOutdated = true;
      return;
    }
    const { source } = this;
    this.isLoading = true;
    this.isOutdated = false;
    this.error = null;
    this.changed();
    const isFirst = this.threads.length === 0;
    try {
      const threads: ThreadMetadata[] = [];
      for (let page: Page<ThreadMetadata> | null = null; page === null || page.has_more; ) {
        const after: { after?: string } = threads.length ? { after: threads.at(-1)!.id } : {};
        page = await this.client.ask<Page<ThreadMetadata>>("threads.list", { limit: LIMIT, order: "desc", ...after });
        if (source !== this.source) return;
        if (!page.data.length) break;
        threads.push(...page.data);
        if (isFirst) this.show(threads);
      }
      this.show(threads);
    } catch (error) {
      if (source !== this.source) return;
      this.error = error as Error;
      throw error;
    } finally {
      if (source === this.source) this.isLoading = false;
      this.changed();
    }
    if (this.isOutdated) await this.load();
  }

  private show(threads: ThreadMetadata[]): void {
    this.threads = [...threads];
    this.changed();
  }

  /** Adds the thread, or updates its title. */
  put(thread: ThreadMetadata): void {
    const index = this.threads.findIndex(({ id }) => id === thread.id);
    this.threads = index < 0 ? [thread, ...this.threads] : this.threads.with(index, { ...this.threads[index]!, ...thread });
    this.changed();
  }

  async rename(threadId: string, title: string): Promise<void> {
    this.put(await this.client.ask<ThreadMetadata>("threads.update", { thread_id: threadId, title }));
  }

  async delete(threadId: string): Promise<void> {
    await this.client.ask("threads.delete", { thread_id: threadId });
    this.threads = this.threads.filter(({ id }) => id !== threadId);
    this.changed();
  }
}
