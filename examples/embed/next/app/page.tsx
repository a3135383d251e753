import { Chat } from "./chat";

export default async function Page({ searchParams }: { searchParams: Promise<{ thread?: string }> }) {
  const { thread } = await searchParams;
  return <Chat initialThread={thread ?? null} />;
}
