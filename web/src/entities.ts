/** Searches for entities that can be @-mentioned, on the server. */
import type { EntitiesOption, Entity } from "@openai/chatkit";

import { serverUrl } from "./base";
import { serverFetch } from "./login";

const ENTITIES_URL = serverUrl("api/entities");

/** Returns the entities that match the text after the @; none if the request fails, which is not worth an error. */
export async function searchEntities(query: string): Promise<Entity[]> {
  const result = await json<{ entities: Entity[] }>(serverFetch(`${ENTITIES_URL}?${new URLSearchParams({ q: query })}`));
  return result?.entities ?? [];
}

export const previewEntity: NonNullable<EntitiesOption["onRequestPreview"]> = async (entity) => {
  const headers = { "content-type": "application/json" };
  return (await json(serverFetch(`${ENTITIES_URL}/preview`, { method: "POST", headers, body: JSON.stringify(entity) }))) ?? { preview: null };
};

async function json<T>(request: Promise<Response>): Promise<T | null> {
  const response = await request.catch(() => null);
  return response?.ok ? ((await response.json()) as T) : null;
}
