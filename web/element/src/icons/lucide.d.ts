/** Made by lucide.js when the element is built: the icons of Lucide by their first letter, a chunk for each. */
declare module "virtual:lucide" {
  /** Outlines by the icon's name in lower case without hyphens. */
  const letters: Record<string, () => Promise<{ default: Record<string, string> }>>;
  export default letters;
}
