/** `<ck-chart>`: bars, lines and areas as SVG. Screen readers get the same numbers as a table. */
import { css, html, nothing, svg } from "lit";

import { define, Part } from "../part";
import type { WidgetNode } from "../protocol/wire";
import { styled } from "../styled";
import { curveThrough, type Point, round } from "./chart-curves";
import { type ChartData, readChart, type Series, ticksOf } from "./chart-data";
import { numberOf, recordOf } from "./values";

const X_AXIS = 24;
const TOP = 8;
/** The average width of a digit or letter of the labels. */
const LETTER = 6.6;
const MAX_BAR = 56;

class Chart extends Part {
  static override properties = { ...Part.properties, node: { attribute: false }, size: { state: true }, active: { state: true } };
  static override sheet = css`
    ck-chart {
      display: flex; flex-direction: column; gap: calc(var(--ck-space) * 2); block-size: 240px; min-inline-size: 0; max-inline-size: 100%; position: relative;
      font-size: 12px; line-height: 1.3; color: var(--ck-muted);
      .plot { flex: 1; min-block-size: 0; position: relative; border-radius: var(--ck-radius-sm); }
      svg { position: absolute; inset: 0; overflow: visible; direction: ltr; }
      text { fill: currentColor; }
      .grid { stroke: var(--ck-border); }
      .grid.zero { stroke: var(--ck-border-strong); }
      .line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
      .area { opacity: 0.18; }
      .band { fill: var(--ck-hover); }
      .legend { display: flex; flex-wrap: wrap; gap: calc(var(--ck-space) * 1) calc(var(--ck-space) * 4); justify-content: center; }
      .legend li, .tip li { display: flex; align-items: center; gap: 6px; }
      .key { inline-size: 10px; block-size: 10px; border-radius: 3px; flex: none; }
      .tip {
        position: absolute; inset-block-start: 0; z-index: 1; pointer-events: none; padding: calc(var(--ck-space) * 1.5) calc(var(--ck-space) * 2.5); max-inline-size: 14rem;
        border: 1px solid var(--ck-border); border-radius: var(--ck-radius); background: var(--ck-elevated); color: var(--ck-fg); box-shadow: var(--ck-shadow-sm);
        strong { font-weight: 600; }
        output { margin-inline-start: auto; padding-inline-start: calc(var(--ck-space) * 3); font-variant-numeric: tabular-nums; }
      }
    }
  `;

  declare node: WidgetNode;
  declare private size: { width: number; height: number };
  /** The category under the pointer. */
  declare private active: number | null;
  private data: ChartData = { axis: "", categories: [], series: [], columns: 0, min: 0, max: 0 };
  private readonly observer = new ResizeObserver(([entry]) => {
    const { width, height } = entry!.contentRect;
    this.size = { width, height };
  });

  constructor() {
    super();
    this.size = { width: 0, height: 0 };
    this.active = null;
  }

  override disconnectedCallback() {
    super.disconnectedCallback();
    this.observer.disconnect();
  }

  override willUpdate(changed: Map<string, unknown>) {
    if (changed.has("node")) this.data = readChart(this.node);
  }

  override updated() {
    this.observer.observe(this.querySelector(".plot")!); // does nothing if it is observed
  }

  override render() {
    const { data, node } = this;
    const names = data.series.map(({ label }) => label).join(", ");
    const show = (event: PointerEvent) => {
      this.active = node.showTooltip === false ? null : this.categoryAt(event);
    };
    return html`<div
        class="plot"
        role="group"
        tabindex="0"
        aria-label=${`${this.chat.strings.chart}: ${names}`}
        @pointermove=${show}
        @pointerdown=${show}
        @pointerleave=${() => (this.active = null)}
        @blur=${() => (this.active = null)}
        @keydown=${this.move}
      >
        ${this.size.width ? this.drawing() : nothing}${this.tip()}${this.table()}
      </div>
      ${node.showLegend === false || data.series.length < (node.showLegend === true ? 1 : 2) ? nothing : this.legend()}`;
  }

  /** Left and right go through the categories. */
  private readonly move = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const last = this.data.categories.length - 1;
    if (!step || last < 0) return;
    event.preventDefault();
    this.active = Math.min(last, Math.max(0, (this.active ?? (step > 0 ? -1 : last + 1)) + step));
  };

  private categoryAt(event: PointerEvent): number | null {
    const { left } = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const { start, step } = this.places();
    const index = Math.floor((event.clientX - left - start) / step);
    return index >= 0 && index < this.data.categories.length ? index : null;
  }

  private ticks() {
    return ticksOf(this.data.min, this.data.max);
  }

  /** Where the categories begin, and the width of each. */
  private places() {
    const { node, data, size } = this;
    const digits = Math.max(...this.ticks().map((tick) => this.format(tick).length));
    const start = node.showYAxis === true ? digits * LETTER + 10 : 0;
    return { start, step: Math.max(1, (size.width - start) / Math.max(1, data.categories.length)) };
  }

  private drawing() {
    const { data, node, size } = this;
    const { start, step } = this.places();
    const hasAxis = recordOf(node.xAxis)?.hide !== true;
    const bottom = size.height - (hasAxis ? X_AXIS : 4);
    const ticks = this.ticks();
    const [low, high] = [ticks[0]!, ticks.at(-1)!];
    const yOf = (value: number) => bottom - ((value - low) / (high - low || 1)) * (bottom - TOP);
    const xOf = (index: number) => start + (index + 0.5) * step;
    return svg`<svg width=${size.width} height=${size.height} aria-hidden="true">
      ${ticks.map(
        (tick) => svg`<line class=${tick === 0 ? "grid zero" : "grid"} x1=${start} x2=${size.width} y1=${round(yOf(tick)) } y2=${round(yOf(tick))}></line>
          ${node.showYAxis === true ? svg`<text x=${start - 8} y=${yOf(tick) + 4} text-anchor="end">${this.format(tick)}</text>` : nothing}`,
      )}
      ${this.active === null ? nothing : svg`<rect class="band" x=${start + this.active * step} y=${TOP} width=${step} height=${bottom - TOP} rx="4"></rect>`}
      ${data.series.map((series) => (series.type === "bar" ? this.bars(series, start, step, yOf) : this.curve(series, xOf, yOf)))}
      ${hasAxis ? this.labels(step, xOf, size.height - 6) : nothing}
    </svg>`;
  }

  private labels(step: number, xOf: (index: number) => number, y: number) {
    const { categories } = this.data;
    const widest = Math.min(16, Math.max(1, ...categories.map(({ length }) => length))) * LETTER + 8;
    const every = Math.max(1, Math.ceil(widest / step));
    return categories.map((category, index) =>
      index % every ? nothing : svg`<text x=${round(xOf(index))} y=${y} text-anchor="middle">${category.length > 16 ? `${category.slice(0, 15)}…` : category}</text>`,
    );
  }

  private bars(series: Series, start: number, step: number, yOf: (value: number) => number) {
    const { columns } = this.data;
    const between = numberOf(this.node.barGap, 0, 50) ?? 4;
    const around = numberOf(this.node.barCategoryGap, 0, 200) ?? step * 0.3;
    const width = Math.min(MAX_BAR, Math.max(1, (step - around - between * (columns - 1)) / columns));
    const offset = (step - width * columns - between * (columns - 1)) / 2 + series.column * (width + between);
    return series.spans.map((span, index) => {
      if (!span || span[0] === span[1]) return nothing;
      const [top, bottom] = [yOf(Math.max(...span)), yOf(Math.min(...span))];
      return svg`<rect x=${round(start + index * step + offset)} y=${round(top)} width=${round(width)} height=${round(bottom - top)} rx=${Math.min(4, width / 4)} ${styled({ fill: series.color })}></rect>`;
    });
  }

  /** A line or an area; gaps in the data are gaps in the line. */
  private curve(series: Series, xOf: (index: number) => number, yOf: (value: number) => number) {
    const runs: { upper: Point[]; lower: Point[] }[] = [];
    series.spans.forEach((span, index) => {
      if (!span) return;
      if (!index || !series.spans[index - 1]) runs.push({ upper: [], lower: [] });
      runs.at(-1)!.upper.push([xOf(index), yOf(span[1])]);
      runs.at(-1)!.lower.push([xOf(index), yOf(span[0])]);
    });
    const at = ([x, y]: Point) => `${round(x)} ${round(y)}`;
    return runs.map(({ upper, lower }) => {
      const line = `M${at(upper[0]!)}${curveThrough(upper, series.curve)}`;
      if (upper.length === 1) return svg`<circle cx=${upper[0]![0]} cy=${upper[0]![1]} r="3" ${styled({ fill: series.color })}></circle>`;
      const back = lower.toReversed();
      const area = series.type === "area" ? svg`<path class="area" d=${`${line}L${at(back[0]!)}${curveThrough(back, series.curve)}Z`} ${styled({ fill: series.color })}></path>` : nothing;
      return svg`${area}<path class="line" d=${line} ${styled({ stroke: series.color })}></path>`;
    });
  }

  private legend() {
    return html`<ul class="legend" aria-hidden="true">
      ${this.data.series.map(({ label, color }) => html`<li><span class="key" ${styled({ background: color })}></span>${label}</li>`)}
    </ul>`;
  }

  private tip() {
    const { active, data, size } = this;
    if (active === null || active >= data.categories.length) return nothing;
    const { start, step } = this.places();
    const x = start + (active + 0.5) * step;
    const place = x < size.width / 2 ? { left: `${x + 12}px` } : { right: `${size.width - x + 12}px` };
    return html`<div class="tip" aria-hidden="true" ${styled(place)}>
      <strong>${data.categories[active]}</strong>
      <ul>
        ${data.series.map(
          ({ label, color, values }) =>
            html`<li><span class="key" ${styled({ background: color })}></span>${label}<output>${values[active] === null ? "–" : this.format(values[active]!)}</output></li>`,
        )}
      </ul>
    </div>`;
  }

  private table() {
    const { axis, categories, series } = this.data;
    return html`<table class="ck-hidden">
      <tr>
        <th scope="col">${axis}</th>
        ${series.map(({ label }) => html`<th scope="col">${label}</th>`)}
      </tr>
      ${categories.map(
        (category, row) => html`<tr>
          <th scope="row">${category}</th>
          ${series.map(({ values }) => html`<td>${values[row] === null ? "" : this.format(values[row]!)}</td>`)}
        </tr>`,
      )}
    </table>`;
  }

  private format(value: number): string {
    const isLarge = Math.abs(value) >= 100_000;
    return new Intl.NumberFormat(this.chat.locale, isLarge ? { notation: "compact" } : { maximumFractionDigits: 2 }).format(value);
  }
}

define("ck-chart", Chart);
