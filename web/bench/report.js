/** The figures as a table, in Markdown. */

/** A figure with its unit and, where it has one, the most it may be. */
export function figure(name, value, unit, limit) {
  return { name, value: `${round(value)} ${unit}`.trim(), limit: limit === undefined ? "" : `${limit} ${unit}`.trim(), isOver: limit !== undefined && value > limit };
}

export function print(rows) {
  const lines = [["Figure", "Measured", "Limit"], ...rows.map(({ name, value, limit, isOver }) => [name, isOver ? `**${value}**` : value, limit])];
  const widths = [0, 1, 2].map((column) => Math.max(...lines.map((line) => line[column].length)));
  const row = (cells) => `| ${cells.map((cell, column) => cell.padEnd(widths[column])).join(" | ")} |`;
  const [head, ...body] = lines;
  console.log([row(head), row(widths.map((width) => "-".repeat(width))), ...body.map(row)].join("\n"));
}

const round = (value) => (value >= 100 ? Math.round(value) : Math.round(value * 100) / 100);
