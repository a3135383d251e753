/** Colours as [red, green, blue] from 0 to 1, and the calculations of the palette: in OKLab, where equal steps look equal. */
export type Rgb = readonly [number, number, number];
type Lab = readonly [lightness: number, a: number, b: number];

export const BLACK: Rgb = [0, 0, 0];
export const WHITE: Rgb = [1, 1, 1];

const clamped = (value: number) => Math.min(1, Math.max(0, value));
const linear = (value: number) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
const gamma = (value: number) => (value <= 0.0031308 ? value * 12.92 : 1.055 * value ** (1 / 2.4) - 0.055);

export function labOf(color: Rgb): Lab {
  const [r, g, b] = color.map(linear) as [number, number, number];
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

/** Returns the colour with as much of its saturation as the screen can show. */
export function rgbOf([lightness, a, b]: Lab): Rgb {
  for (let saturation = 1; ; saturation -= 0.05) {
    const color = unclampedRgbOf([lightness, a * saturation, b * saturation]);
    if (saturation <= 0 || color.every((value) => value > -0.001 && value < 1.001)) return color.map(clamped) as unknown as Rgb;
  }
}

function unclampedRgbOf([lightness, a, b]: Lab): Rgb {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    gamma(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
    gamma(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
    gamma(-0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s),
  ];
}

export function fromLch(lightness: number, chroma: number, hue: number): Rgb {
  const angle = (hue * Math.PI) / 180;
  return rgbOf([lightness, chroma * Math.cos(angle), chroma * Math.sin(angle)]);
}

/** `amount` of the second colour in the first. */
export function mix(first: Rgb, second: Rgb, amount: number): Rgb {
  const [from, to] = [labOf(first), labOf(second)];
  return rgbOf(from.map((value, index) => value + (to[index]! - value) * amount) as unknown as Lab);
}

/** The contrast of WCAG 2, from 1 to 21. */
export function contrast(first: Rgb, second: Rgb): number {
  const [low, high] = [luminance(first), luminance(second)].sort((a, b) => a - b) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

function luminance(color: Rgb): number {
  const [r, g, b] = color.map(linear) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** Black or white, whichever is easier to read on the colour: at least 4.5 for every colour. */
export function on(color: Rgb): Rgb {
  return contrast(WHITE, color) >= 4.5 ? WHITE : BLACK;
}

/** Returns the colour, darker or lighter as far as needed for the contrast with all backgrounds. */
export function legible(color: Rgb, backgrounds: Rgb[], ratio: number): Rgb {
  const shown = backgrounds.map(rounded);
  const lowest = (candidate: Rgb) => Math.min(...shown.map((background) => contrast(rounded(candidate), background)));
  const pole = lowest(BLACK) > lowest(WHITE) ? 0 : 1;
  const [lightness, a, b] = labOf(color);
  for (let step = 0; step < 1; step += 0.02) {
    const candidate = rgbOf([lightness + (pole - lightness) * step, a, b]);
    if (lowest(candidate) >= ratio) return candidate;
  }
  return pole ? WHITE : BLACK;
}

/** As the screen shows it: in 256 steps. */
function rounded(color: Rgb): Rgb {
  return color.map((value) => Math.round(value * 255) / 255) as unknown as Rgb;
}

/** `#rrggbb`, with an opacity `#rrggbbaa`. */
export function hex(color: Rgb, opacity = 1): string {
  const values = opacity < 1 ? [...color, opacity] : color;
  return `#${values.map((value) => Math.round(value * 255).toString(16).padStart(2, "0")).join("")}`;
}

/** Reads `#rgb`, `#rrggbb`, `#rrggbbaa`, `rgb(…)` and `color(srgb …)`; a translucent colour is laid over the background. */
export function parse(text: string, background: Rgb): Rgb | null {
  const values = valuesOf(String(text).trim());
  if (!values) return null;
  const [r = 0, g = 0, b = 0, opacity = 1] = values;
  return [r, g, b].map((value, index) => clamped(value * opacity + background[index]! * (1 - opacity))) as unknown as Rgb;
}

function valuesOf(text: string): number[] | null {
  if (/^#([0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})$/i.test(text)) {
    const digits = text.slice(1);
    const pairs = digits.length < 6 ? [...digits].map((digit) => digit + digit) : digits.match(/../g)!;
    return pairs.map((pair) => parseInt(pair, 16) / 255);
  }
  const [, name, list] = /^(rgba?|color)\((?:srgb )?([^()]*)\)$/.exec(text) ?? [];
  if (!name || !list) return null;
  const scale = name === "color" ? 1 : 255;
  const values = list.split(/[\s,/]+/).map((value, index) => (value.endsWith("%") ? parseFloat(value) / 100 : Number(value) / (index < 3 ? scale : 1)));
  return values.length >= 3 && values.every(Number.isFinite) ? values : null;
}
