/** The outline of a line through points, by the names of d3's curves. */
export type Point = readonly [x: number, y: number];

const LINEAR = new Set(["linear", "linearClosed"]);

/** Returns path commands that continue at the first point. */
export function curveThrough(points: readonly Point[], curve: string): string {
  if (points.length < 3 || LINEAR.has(curve)) return curve.startsWith("step") ? steps(points, curve) : points.slice(1).map(([x, y]) => `L${round(x)} ${round(y)}`).join("");
  if (curve.startsWith("step")) return steps(points, curve);
  if (curve.startsWith("bump")) return bumps(points);
  return monotone(points);
}

function steps(points: readonly Point[], curve: string): string {
  const share = curve === "stepBefore" ? 0 : curve === "stepAfter" ? 1 : 0.5;
  return points
    .slice(1)
    .map(([x, y], index) => {
      const from = points[index]!;
      const middle = from[0] + (x - from[0]) * share;
      return `H${round(middle)}V${round(y)}H${round(x)}`;
    })
    .join("");
}

function bumps(points: readonly Point[]): string {
  return points
    .slice(1)
    .map(([x, y], index) => {
      const [fromX, fromY] = points[index]!;
      const middle = round((fromX + x) / 2);
      return `C${middle} ${round(fromY)} ${middle} ${round(y)} ${round(x)} ${round(y)}`;
    })
    .join("");
}

/** A smooth line that has no peaks but those of the points (Fritsch and Carlson). */
function monotone(points: readonly Point[]): string {
  const slopes = points.slice(1).map(([x, y], index) => (y - points[index]![1]) / (x - points[index]![0] || 1));
  const tangents = points.map((_, index) => {
    const [before, after] = [slopes[index - 1], slopes[index]];
    if (before === undefined || after === undefined) return before ?? after ?? 0;
    return before * after <= 0 ? 0 : Math.sign(before) * Math.min(Math.abs(before + after) / 2, 2 * Math.min(Math.abs(before), Math.abs(after)));
  });
  return points
    .slice(1)
    .map(([x, y], index) => {
      const [fromX, fromY] = points[index]!;
      const third = (x - fromX) / 3;
      return `C${round(fromX + third)} ${round(fromY + third * tangents[index]!)} ${round(x - third)} ${round(y - third * tangents[index + 1]!)} ${round(x)} ${round(y)}`;
    })
    .join("");
}

export const round = (value: number) => Math.round(value * 100) / 100;
