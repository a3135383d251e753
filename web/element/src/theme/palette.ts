/**
 * The colours of one scheme, calculated from the page's options. Text keeps a contrast of 4.5 with every background that
 * it stands on, whatever a page chooses; outlines of controls and the focus ring keep 3.
 */
import type { ColorOption, ColorScheme } from "@openai/chatkit";

import { BLACK, contrast, fromLch, hex, labOf, legible, mix, on, parse, type Rgb, rgbOf, WHITE } from "./color";

const TEXT = 4.5;
const CONTROL = 3;
/** Saturation of the greys at the highest tint. */
const MOST_TINT = 0.035;
const STATUS_HUES = { danger: 25, warning: 70, success: 152, info: 255, discovery: 300 };

/** How much of the accent colours the user's messages, by level. */
const USER_TINT = [0, 0.06, 0.16, 1] as const;

export type Palette = Record<string, string>;

/** Reads any CSS colour; the browser knows more notations than `color.ts`. */
export type ReadColor = (text: string, background: Rgb) => Rgb | null;

export function paletteOf(scheme: ColorScheme, { grayscale, accent, surface }: ColorOption = {}, read: ReadColor = parse): Palette {
  const isDark = scheme === "dark";
  const { hue = 0, tint = 0, shade = 0 } = grayscale ?? {};
  const gray = grayOf(hue, tint);
  const plain = isDark ? gray(0.225 - shade * 0.02) : gray(1 - tint * 0.002 - Math.max(0, shade) * 0.012);

  const bg = (surface && read(surface.background, plain)) ?? plain;
  const wantedFg = (surface && read(surface.foreground, bg)) ?? gray(isDark ? 0.95 : 0.19 - Math.min(0, shade) * 0.02);
  const fg = legible(wantedFg, [bg], TEXT);
  // On a background of medium lightness, surfaces differ from it away from the text.
  const away = contrast(fg, bg) < 7 ? opposite(fg) : fg;
  const step = (amount: number) => tinted(mix(bg, away, amount), gray, tint, amount);

  const surfaces = { surface: step(0.045), "surface-strong": step(0.1), elevated: isDark ? step(0.055) : bg };
  const backgrounds = [bg, ...Object.values(surfaces)];
  const text = (color: Rgb, extra: Rgb[] = []) => legible(color, [...backgrounds, ...extra], TEXT);

  const primary = (accent && read(accent.primary, bg)) ?? fg;
  const level = accent?.level ?? 0;
  const wash = (color: Rgb, amount: number) => {
    const washed = mix(bg, color, amount);
    return contrast(fg, washed) > TEXT + 0.1 ? washed : surfaces.surface;
  };
  const soft = wash(primary, 0.12);
  const user = level >= 3 ? primary : mix(surfaces.surface, primary, accent ? USER_TINT[level]! : 0);

  const colors: Record<string, Rgb> = {
    bg,
    fg: text(fg),
    muted: text(tinted(mix(bg, fg, 0.64), gray, tint, 0.5)),
    border: step(0.13),
    "border-strong": legible(step(0.42), backgrounds, CONTROL),
    ...surfaces,
    accent: primary,
    "on-accent": on(primary),
    "accent-text": text(primary, [soft]),
    "accent-soft": soft,
    focus: legible(accent ? primary : fromLch(isDark ? 0.7 : 0.55, 0.16, 255), backgrounds, CONTROL),
    user,
    "on-user": legible(fg, [user], TEXT),
    icon: level >= 3 ? text(primary, [soft]) : text(tinted(mix(bg, fg, 0.75), gray, tint, 0.5)),
  };
  for (const [name, statusHue] of Object.entries(STATUS_HUES)) {
    const solid = fromLch(isDark ? 0.68 : 0.55, 0.17, statusHue);
    const tone = wash(solid, isDark ? 0.2 : 0.1);
    Object.assign(colors, { [name]: text(solid, [tone]), [`${name}-soft`]: tone, [`${name}-solid`]: solid, [`on-${name}`]: on(solid) });
  }

  return {
    ...Object.fromEntries(Object.entries(colors).map(([name, color]) => [name, hex(color)])),
    hover: hex(away, isDark ? 0.08 : 0.055),
    pressed: hex(away, isDark ? 0.13 : 0.1),
    scrim: hex(BLACK, isDark ? 0.5 : 0.28),
    "shadow-color": hex(BLACK, isDark ? 0.45 : 0.12),
  };
}

/** Greys of the hue: the hue is one of HSL, as in CSS. */
function grayOf(hue: number, tint: number): (lightness: number) => Rgb {
  const [, a, b] = labOf(pure(hue));
  const scale = (tint / 9) * (MOST_TINT / Math.hypot(a, b));
  return (lightness) => rgbOf([lightness, a * scale, b * scale]);
}

/** hsl(hue 100% 50%) */
function pure(hue: number): Rgb {
  const channel = (offset: number) => {
    const position = (offset + hue / 30) % 12;
    return 0.5 - 0.5 * Math.max(-1, Math.min(position - 3, 9 - position, 1));
  };
  return [channel(0), channel(8), channel(4)];
}

/** Between background and text, a grey takes the tint again: both may be too light or dark to show it. */
function tinted(color: Rgb, gray: (lightness: number) => Rgb, tint: number, amount: number): Rgb {
  if (!tint) return color;
  return mix(color, gray(labOf(color)[0]), Math.min(1, amount * 3));
}

function opposite(color: Rgb): Rgb {
  return labOf(color)[0] > 0.5 ? BLACK : WHITE;
}
