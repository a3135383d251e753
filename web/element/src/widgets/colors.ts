/** Primitive colours by name and step: `red-100` is light, `blue-900` dark. Calculated in OKLCH, where equal steps look equal. */

const HUES: Record<string, [hue: number, chroma: number]> = {
  gray: [0, 0], red: [25, 0.21], orange: [50, 0.18], amber: [72, 0.17], yellow: [92, 0.17], lime: [128, 0.2], green: [149, 0.19], emerald: [162, 0.16], teal: [184, 0.13],
  cyan: [212, 0.13], sky: [235, 0.15], blue: [258, 0.2], indigo: [276, 0.21], violet: [292, 0.23], purple: [304, 0.24], fuchsia: [322, 0.25], pink: [352, 0.21], rose: [15, 0.21],
};
/** Lightness by step; others lie between. */
const LIGHTNESS: [step: number, lightness: number][] = [[0, 1], [50, 0.975], [100, 0.94], [200, 0.885], [300, 0.81], [400, 0.71], [500, 0.63], [600, 0.55], [700, 0.48], [800, 0.41], [900, 0.34], [1000, 0.2]];

export function namedColor(name: string): string | null {
  const [, hueName, digits] = /^([a-z]{3,8})-(\d{1,4})$/.exec(name) ?? [];
  if (!hueName || !Object.hasOwn(HUES, hueName)) return null;
  const [hue, chroma] = HUES[hueName]!;
  const lightness = lightnessOf(Math.min(1000, Number(digits)));
  // Very light and very dark colours have little room for saturation.
  const saturation = Math.max(0, 1 - ((lightness - 0.62) / 0.42) ** 2);
  return `oklch(${lightness.toFixed(3)} ${(chroma * saturation).toFixed(3)} ${hue})`;
}

function lightnessOf(step: number): number {
  const index = Math.max(1, LIGHTNESS.findIndex(([known]) => known >= step));
  const [[fromStep, from], [toStep, to]] = [LIGHTNESS[index - 1]!, LIGHTNESS[index]!];
  return from + ((to - from) * (step - fromStep)) / (toStep - fromStep);
}
