/** Reads a Chart: categories, series and the range of their values. */
import type { WidgetNode } from "../protocol/wire";
import { namedColor } from "./colors";
import { colorOf } from "./css-values";
import { listOf, numberOf, oneOf, recordOf, textOf } from "./values";

const MAX_ROWS = 500;
const MAX_SERIES = 12;
const COLORS = ["blue", "purple", "orange", "green", "red", "yellow", "pink"] as const;

/** From the lower to the upper edge of a bar, or of an area at one category; a line has its points at the upper one. */
export type Span = readonly [from: number, to: number];

export interface Series {
  type: "bar" | "line" | "area";
  label: string;
  color: string;
  curve: string;
  /** Bars of one column lie on each other. */
  column: number;
  values: (number | null)[];
  spans: (Span | null)[];
}

export interface ChartData {
  axis: string;
  categories: string[];
  series: Series[];
  /** Columns of bars beside each other. */
  columns: number;
  min: number;
  max: number;
}

export function readChart(node: WidgetNode): ChartData {
  const rows = listOf(node.data).slice(0, MAX_ROWS).map((row) => recordOf(row) ?? {});
  const axis = recordOf(node.xAxis);
  const axisKey = textOf(axis?.dataKey ?? node.xAxis);
  const labels = recordOf(axis?.labels) ?? {};
  const categories = rows.map((row) => {
    const category = textOf(row[axisKey]);
    return Object.hasOwn(labels, category) ? textOf(labels[category]) : category;
  });
  const configs = listOf(node.series).slice(0, MAX_SERIES).map(recordOf).filter((one) => one !== null);
  const taken = new Set(configs.map(({ color }) => color));
  const free = COLORS.filter((color) => !taken.has(color));
  const series = configs.map((one, index) => readSeries(one, free[index % free.length] ?? COLORS[0], rows));
  const columns = stack(series, configs);
  const edges = series.flatMap(({ spans }) => spans.flatMap((span) => span ?? []));
  return { axis: axisKey, categories, series, columns, min: Math.min(0, ...edges), max: Math.max(0, ...edges) };
}

function readSeries(series: Record<string, unknown>, color: string, rows: Record<string, unknown>[]): Series {
  const key = textOf(series.dataKey);
  const values = rows.map((row) => numberOf(row[key], -1e15, 1e15));
  return {
    type: oneOf(series.type, ["line", "area"], "bar"),
    label: textOf(series.label) || key,
    color: colorOfSeries(series.color) ?? tokenColor(color),
    curve: textOf(series.curveType),
    column: 0,
    values,
    spans: values.map((value) => (value === null ? null : [0, value])),
  };
}

function colorOfSeries(value: unknown): string | null {
  const token = oneOf(value, COLORS);
  return token ? tokenColor(token) : colorOf(value, {});
}

function tokenColor(token: string): string {
  return `light-dark(${namedColor(`${token}-500`)}, ${namedColor(`${token}-400`)})`;
}

/** Puts the series with the same stack on each other; returns the number of columns of bars. */
function stack(series: Series[], configs: Record<string, unknown>[]): number {
  const stacks = new Map<string, { column: number; tops: number[]; bottoms: number[] }>();
  let columns = 0;
  series.forEach((one, index) => {
    const name = textOf(configs[index]?.stack);
    if (!name || one.type === "line") {
      if (one.type === "bar") one.column = columns++;
      return;
    }
    const key = `${one.type} ${name}`;
    const known = stacks.get(key) ?? { column: one.type === "bar" ? columns++ : 0, tops: [], bottoms: [] };
    stacks.set(key, known);
    one.column = known.column;
    one.spans = one.values.map((value, row) => {
      if (value === null) return null;
      const edges = value < 0 ? known.bottoms : known.tops;
      const from = edges[row] ?? 0;
      edges[row] = from + value;
      return [from, from + value];
    });
  });
  return columns;
}

/** Round numbers from below the minimum to above the maximum. */
export function ticksOf(min: number, max: number, count = 4): number[] {
  const range = max - min || 1;
  const rough = range / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough * 0.999) ?? rough;
  const first = Math.floor(min / step + 1e-9);
  const last = Math.ceil(max / step - 1e-9);
  return Array.from({ length: Math.max(1, last - first) + 1 }, (_, index) => Number(((first + index) * step).toPrecision(12)));
}
