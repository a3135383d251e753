/** Reads `chatkit-link://name?key=value`, which the page handles. */
export function parseDeepLink(href: string): { name: string; data: Record<string, string> } {
  const [, name = "", query = ""] = /^chatkit-link:\/\/([^?#]*)\??([^#]*)/i.exec(href) ?? [];
  return { name: decoded(name.replace(/\/+$/, "")), data: Object.fromEntries(new URLSearchParams(query)) };
}

function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
