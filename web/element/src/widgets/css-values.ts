/**
 * CSS from the properties of components. A model writes them: only functions that load nothing pass, and all are set one
 * by one as values of known properties.
 */
import type { Styles } from "../styled";
import { namedColor } from "./colors";
import { numberOf, oneOf, recordOf } from "./values";

const FUNCTIONS = new Set(
  "rgb rgba hsl hsla hwb lab lch oklab oklch color color-mix light-dark linear-gradient radial-gradient conic-gradient calc min max clamp fit-content".split(" "),
);
const MAX_LENGTH = 200;
const MAX_PIXELS = 4_000;
const MAX_SPACES = 100;
/** A sign or a subtraction, not the hyphen of a name such as `fit-content`. */
const MINUS = /(?<![a-z])-|-(?![a-z])/i;
const SIDES = ["top", "right", "bottom", "left"] as const;

/** Returns the text if it is a harmless CSS value; the browser ignores an invalid one. */
export function cssOf(value: unknown): string | null {
  if (typeof value !== "string" || value.length > MAX_LENGTH || !/^[\w\s#%.,()/+*-]+$/.test(value)) return null;
  const functions = value.matchAll(/([\w-]*)\(/g);
  return [...functions].every(([, name]) => !name || FUNCTIONS.has(name.toLowerCase())) ? value : null;
}

/** A number is in pixels. */
export function lengthOf(value: unknown): string | null {
  const pixels = numberOf(value, 0, MAX_PIXELS);
  return pixels === null ? cssOf(value) : `${pixels}px`;
}

/** A number is in units of the theme's spacing. None is negative: it would pull a component over others. */
export function spaceOf(value: unknown): string | null {
  const units = numberOf(value, 0, MAX_SPACES);
  if (units !== null) return `calc(var(--ck-space) * ${units})`;
  return typeof value === "string" && MINUS.test(value) ? null : cssOf(value);
}

/** Padding or margin: a space for all sides, or an object by sides. */
export function spacingOf(property: "padding" | "margin", value: unknown): Styles {
  const sides = recordOf(value);
  if (!sides) return { [property]: spaceOf(value) };
  return bySides(sides, (side, space) => [`${property}-${side}`, spaceOf(space)]);
}

export function borderOf(value: unknown): Styles {
  const border = recordOf(value);
  if (!border) return { border: lineOf(value) };
  if ("size" in border) return { border: lineOf(border) };
  return bySides(border, (side, line) => [`border-${side}`, lineOf(line)]);
}

const LINES = ["solid", "dashed", "dotted", "double", "groove", "ridge", "inset", "outset"] as const;

function lineOf(value: unknown): string | null {
  const border = recordOf(value) ?? { size: value };
  const size = numberOf(border.size, 0, 50);
  return size === null ? null : `${size}px ${oneOf(border.style, LINES, "solid")} ${borderColorOf(border.color) ?? "var(--ck-border)"}`;
}

/** Turns `x`, `y` and single sides into entries; the single ones win. */
function bySides(values: Record<string, unknown>, entry: (side: string, value: unknown) => [string, string | null]): Styles {
  return Object.fromEntries(SIDES.map((side) => entry(side, values[side] ?? values[side === "left" || side === "right" ? "x" : "y"])));
}

const RADII: Record<string, string> = {
  none: "0", "2xs": "calc(var(--ck-radius-sm) / 3)", xs: "calc(var(--ck-radius-sm) * 2 / 3)", sm: "var(--ck-radius-sm)", md: "calc(var(--ck-radius) * 0.8)",
  lg: "var(--ck-radius)", xl: "calc(var(--ck-radius) * 1.4)", "2xl": "var(--ck-radius-lg)", "3xl": "calc(var(--ck-radius-lg) * 1.3)", "4xl": "calc(var(--ck-radius-lg) * 1.7)",
  full: "999px", "100%": "100%",
};

function radiusOf(value: unknown): string | null {
  return typeof value === "string" && Object.hasOwn(RADII, value) ? RADII[value]! : null;
}

/** Sizes, margin, radius and place in a flex container: what all blocks have. */
export function blockStyles(node: Record<string, unknown>): Styles {
  const { size, minSize, maxSize } = node;
  const ratio = numberOf(node.aspectRatio, 0.05, 50);
  return {
    height: lengthOf(node.height ?? size),
    width: lengthOf(node.width ?? size),
    "min-height": lengthOf(node.minHeight ?? minSize),
    "min-width": lengthOf(node.minWidth ?? minSize),
    "max-height": lengthOf(node.maxHeight ?? maxSize),
    "max-width": lengthOf(node.maxWidth ?? maxSize),
    "aspect-ratio": ratio ?? cssOf(node.aspectRatio),
    flex: numberOf(node.flex, 0, 100) ?? cssOf(node.flex),
    "border-radius": radiusOf(node.radius),
    ...(node.margin === undefined ? {} : spacingOf("margin", node.margin)),
  };
}

export const ALIGNMENTS = ["start", "center", "end", "baseline", "stretch"] as const;
const JUSTIFICATIONS: Record<string, string> = { start: "start", center: "center", end: "end", between: "space-between", around: "space-around", evenly: "space-evenly", stretch: "stretch" };

/** Layout of children, padding, border and background. */
export function boxStyles(node: Record<string, unknown>): Styles {
  return {
    ...blockStyles(node),
    ...containerStyles(node),
    "flex-wrap": oneOf(node.wrap, ["nowrap", "wrap", "wrap-reverse"]),
    ...(node.border === undefined ? {} : borderOf(node.border)),
    background: backgroundOf(node.background),
  };
}

export function containerStyles(node: Record<string, unknown>): Styles {
  const { justify } = node;
  return {
    "--w-gap": spaceOf(node.gap),
    "align-items": oneOf(node.align, ALIGNMENTS),
    "justify-content": typeof justify === "string" && Object.hasOwn(JUSTIFICATIONS, justify) ? JUSTIFICATIONS[justify] : null,
    ...(node.padding === undefined ? {} : { ...spacingOf("padding", node.padding), "--w-pad": inlinePaddingOf(node.padding) }),
  };
}

/** What a flush child must undo. */
function inlinePaddingOf(padding: unknown): string | null {
  const sides = recordOf(padding);
  return spaceOf(sides ? (sides.left ?? sides.x ?? 0) : padding);
}

const TEXT_COLORS: Record<string, string> = {
  prose: "fg", primary: "fg", emphasis: "fg", secondary: "muted", tertiary: "muted", success: "success", warning: "warning", danger: "danger", info: "info", discovery: "discovery",
};
const SURFACES: Record<string, string> = {
  surface: "bg", "surface-secondary": "surface", "surface-tertiary": "surface-strong", "surface-elevated": "elevated", "surface-elevated-secondary": "surface",
};
const BORDERS: Record<string, string> = { default: "border", subtle: "border", strong: "border-strong" };

export const textColorOf = (value: unknown) => colorOf(value, TEXT_COLORS);
export const backgroundOf = (value: unknown) => colorOf(value, SURFACES);
export const borderColorOf = (value: unknown) => colorOf(value, BORDERS);

/** A token of the theme, a primitive such as `red-100`, CSS, or a pair of these for light and dark. */
export function colorOf(value: unknown, tokens: Record<string, string>): string | null {
  const pair = recordOf(value);
  if (pair) {
    const [light, dark] = [colorOf(textOr(pair.light), tokens), colorOf(textOr(pair.dark), tokens)];
    return light && dark ? `light-dark(${light}, ${dark})` : (light ?? dark);
  }
  if (typeof value !== "string") return null;
  return Object.hasOwn(tokens, value) ? `var(--ck-${tokens[value]})` : (namedColor(value) ?? cssOf(value));
}

const textOr = (value: unknown) => (typeof value === "string" ? value : null);
