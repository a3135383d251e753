/** The page's web fonts. They belong to the document, so each is added once, for all elements. */
import type { FontObject } from "@openai/chatkit";

const added = new Set<string>();

export function loadFonts(sources: FontObject[]): void {
  for (const source of sources) {
    const key = JSON.stringify(source);
    if (added.has(key)) continue;
    added.add(key);
    try {
      document.fonts.add(fontOf(source));
    } catch (error) {
      console.warn(`ChatKit: the font ${source.family} cannot be used`, error);
    }
  }
}

/** The browser fetches it when text needs it. */
function fontOf({ family, src, weight, style, display, unicodeRange }: FontObject): FontFace {
  return new FontFace(family, `url(${JSON.stringify(src)})`, {
    ...(weight !== undefined && { weight: String(weight) }),
    ...(style && { style }),
    display: display ?? "swap",
    ...(unicodeRange && { unicodeRange }),
  });
}
