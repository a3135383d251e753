/** The colours of a page that chooses some, for both schemes. */
import type { ColorOption, ColorScheme } from "@openai/chatkit";

import { parse } from "./color";
import { paletteOf, type ReadColor } from "./palette";
import type { Colors } from "./usual";

/** The page's surfaces belong to its scheme; parts with the other scheme keep the usual ones. */
export function colorsOf(scheme: ColorScheme, color: ColorOption): Colors {
  const { surface: _, ...others } = color;
  const light = paletteOf("light", scheme === "light" ? color : others, readColor);
  const dark = paletteOf("dark", scheme === "dark" ? color : others, readColor);
  return Object.fromEntries(Object.keys(light).map((name) => [name, [light[name]!, dark[name]!]]));
}

/** A canvas turns the notations of the browser (names, hsl, oklch) into those of `parse`. */
const readColor: ReadColor = (text, background) => {
  const known = parse(text, background);
  if (known || !CSS.supports("color", text)) return known;
  const canvas = document.createElement("canvas").getContext("2d");
  if (!canvas) return null;
  canvas.fillStyle = text;
  const written = parse(canvas.fillStyle, background);
  if (written) return written;
  canvas.fillStyle = `color-mix(in srgb, ${text}, ${text})`;
  return parse(canvas.fillStyle, background);
};
