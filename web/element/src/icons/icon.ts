/**
 * `<ck-icon .name=${name}>`: any icon by its ChatKit name or `lucide:<name>`. Those that are not in the script are loaded
 * on demand: until then there is a blank box of the right size, and nothing for an unknown name.
 */
import { css, html, nothing } from "lit";

import { define, Part } from "../part";
import { drawn, icon, isCoreIcon } from "./core";

const LUCIDE = "lucide:";

/** Returns the icon at once if it is in the script, else a `<ck-icon>`. Its name may come from a model. */
export function anyIcon(name: unknown) {
  if (typeof name !== "string" || !name) return nothing;
  return isCoreIcon(name) ? icon(name) : html`<ck-icon .name=${name}></ck-icon>`;
}

class Icon extends Part {
  static override properties = { ...Part.properties, name: { type: String }, outline: { state: true } };
  static override sheet = css`
    ck-icon {
      display: inline-block; flex: none; inline-size: 20px; block-size: 20px; vertical-align: middle;
      &[hidden] { display: none; }
      svg { display: block; inline-size: 100%; block-size: 100%; }
    }
  `;

  declare name: string;
  /** Undefined while it loads, null if there is none. */
  declare private outline: string | null | undefined;

  override willUpdate(changed: Map<string, unknown>) {
    if (changed.has("name")) void this.load(this.name);
  }

  override render() {
    const { name, outline } = this;
    this.hidden = outline === null;
    if (isCoreIcon(name)) return icon(name);
    return outline ? drawn(name, outline) : nothing;
  }

  private async load(name: string): Promise<void> {
    this.outline = undefined;
    if (isCoreIcon(name)) return;
    const outline = await outlineOf(name).catch(() => null);
    if (name === this.name) this.outline = outline;
  }
}

async function outlineOf(name: string): Promise<string | null> {
  if (!name.startsWith(LUCIDE)) return own((await import("./named")).OUTLINES, name);
  const key = name.slice(LUCIDE.length).replaceAll("-", "").toLowerCase();
  const { default: letters } = await import("virtual:lucide");
  const load = own(letters, key[0] ?? "");
  return load && own((await load()).default, key);
}

function own<T>(record: Record<string, T>, key: string): T | null {
  return Object.hasOwn(record, key) ? record[key]! : null;
}

define("ck-icon", Icon);
