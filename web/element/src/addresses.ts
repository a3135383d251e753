/** Which addresses of a model, a tool or a file may become links and images. */

const LINKS = new Set(["http:", "https:", "mailto:", "tel:"]);
const IMAGE_DATA = /^data:image\/(?:png|jpe?g|gif|webp|avif|bmp|svg\+xml)[;,]/i;

/** Returns the address of a link if it is safe to follow, else null. */
export function linkTarget(href: unknown): string | null {
  const url = parsed(href);
  return url && LINKS.has(url.protocol) ? url.href : null;
}

/**
 * Returns the address of an image if it may be loaded, else null. `domains` are the thread's `allowed_image_domains`: an
 * image's address can carry what a model has read to a stranger's server. SVG runs no scripts inside an `<img>`.
 */
export function imageSource(src: unknown, domains?: readonly string[] | null): string | null {
  if (typeof src === "string" && IMAGE_DATA.test(src)) return src;
  const url = parsed(src);
  if (!url) return null;
  if (url.protocol === "blob:") return url.href;
  if (url.protocol !== "https:" && url.protocol !== "http:") return null;
  const isAllowed = !domains || url.origin === location.origin || domains.some((domain) => isInDomain(url.hostname, domain));
  return isAllowed ? url.href : null;
}

/** The domain of a web address, which tells the user where a link leads; empty for other addresses. */
export function domainOf(address: unknown): string {
  const url = parsed(address);
  return url?.protocol === "https:" || url?.protocol === "http:" ? url.hostname.replace(/^www\./, "") : "";
}

function isInDomain(host: string, domain: unknown): boolean {
  if (typeof domain !== "string" || !domain) return false;
  const name = domain.toLowerCase().replace(/^\*?\./, "");
  return host === name || host.endsWith(`.${name}`);
}

function parsed(address: unknown): URL | null {
  if (typeof address !== "string" || !address.trim()) return null;
  try {
    return new URL(address, document.baseURI);
  } catch {
    return null;
  }
}
