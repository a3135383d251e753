/** What can be mentioned with an @: the server knows. */
import type { EntitiesOption, Entity } from "@openai/chatkit";

const ENTITIES_URL = "/api/entities";

/** What fits the words behind the @; nothing when the server cannot be asked, which is no reason to disturb anybody. */
export async function searchEntities(query: string): Promise<Entity[]> {
  const found = await json<{ entities: Entity[] }>(fetch(`${ENTITIES_URL}?${new URLSearchParams({ q: query })}`));
  return found?.entities ?? [];
}

export const previewEntity: NonNullable<EntitiesOption["onRequestPreview"]> = async (entity) => {
  const headers = { "content-type": "application/json" };
  return (await json(fetch(`${ENTITIES_URL}/preview`, { method: "POST", headers, body: JSON.stringify(entity) }))) ?? { preview: null };
};

async function json<T>(asking: Promise<Response>): Promise<T | null> {
  const response = await asking.catch(() => null);
  return response?.ok ? ((await response.json()) as T) : null;
}
