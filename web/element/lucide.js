/**
 * A build plugin: the module `virtual:lucide`, all icons of Lucide in a chunk for each first letter. All together are
 * 90 kB gzip; a page that names one icon loads a few.
 */
import lucide from "lucide";

const INDEX = "virtual:lucide";
const NOTICE = "/*! Lucide, ISC licence, © Lucide Icons and Contributors, https://lucide.dev/license */\n";
const LETTER = `${INDEX}/lucide-`;

export function lucideIcons() {
  const letters = {};
  for (const [name, nodes] of Object.entries(lucide.icons)) {
    const key = name.toLowerCase();
    (letters[key[0]] ??= {})[key] = outlineOf(nodes);
  }
  return {
    name: "lucide-icons",
    resolveId: (id) => (id === INDEX || id.startsWith(LETTER) ? id : null),
    load(id) {
      if (id === INDEX) return `export default {${Object.keys(letters).map((letter) => `${letter}:()=>import("${LETTER}${letter}")`)}}`;
      if (id.startsWith(LETTER)) return `${NOTICE}export default ${JSON.stringify(letters[id.slice(LETTER.length)])}`;
      return null;
    },
  };
}

/** Joins an icon's shapes to one path. */
function outlineOf(nodes) {
  return nodes.map(([tag, attributes]) => SHAPES[tag](attributes)).join("");
}

const SHAPES = {
  path: ({ d }) => fromOrigin(d),
  line: ({ x1, y1, x2, y2 }) => `M${x1} ${y1}L${x2} ${y2}`,
  polyline: ({ points }) => `M${points}`,
  polygon: ({ points }) => `M${points}z`,
  circle: ({ cx, cy, r }) => ellipse(+cx, +cy, +r, +r),
  ellipse: ({ cx, cy, rx, ry }) => ellipse(+cx, +cy, +rx, +ry),
  rect: ({ x = 0, y = 0, width, height, rx, ry }) => rectangle(+x, +y, +width, +height, Math.min(+(rx ?? ry ?? 0), width / 2, height / 2)),
};

const NUMBER = "[-+]?(?:\\d+\\.?\\d*|\\.\\d+)";
const START = new RegExp(`^m\\s*(${NUMBER})[\\s,]*(${NUMBER})[\\s,]*`);

/** Behind another outline, a relative start would be one from that outline's end. */
function fromOrigin(path) {
  const [start, x, y] = START.exec(path) ?? [];
  if (!start) return path;
  const rest = path.slice(start.length);
  return `M${x} ${y}${/^[-+.\d]/.test(rest) ? "l" : ""}${rest}`;
}

const round = (number) => Math.round(number * 1000) / 1000;

function ellipse(cx, cy, rx, ry) {
  return `M${round(cx - rx)} ${cy}a${rx} ${ry} 0 1 0 ${round(2 * rx)} 0a${rx} ${ry} 0 1 0 ${round(-2 * rx)} 0`;
}

function rectangle(x, y, width, height, radius) {
  const corner = (dx, dy) => (radius ? `a${radius} ${radius} 0 0 1 ${round(dx * radius)} ${round(dy * radius)}` : "");
  const [across, down] = [round(width - 2 * radius), round(height - 2 * radius)];
  return `M${round(x + radius)} ${y}h${across}${corner(1, 1)}v${down}${corner(-1, 1)}h${-across}${corner(-1, -1)}v${-down}${corner(1, -1)}z`;
}
