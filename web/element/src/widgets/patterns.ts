/** Which patterns of a model may check a field: the time of a regular expression can double with each character. */

/** A longer text is not checked. */
const LONGEST_TEXT = 120;
const LONGEST_PATTERN = 200;
/** In so many ways at most, a pattern may be tried at a text. */
const MOST_WAYS = 2e6;
const TOKENS = /\\[^]|\[(?:\\[^]|[^\]\\])*\]|\((?:\?(?:[:=!]|<[=!]|<\w+>))?|\{\d+(?:,\d*)?\}|[^]/g;

/** Returns the pattern if it takes little time at every text that is checked, else null. */
export function safePattern(pattern: unknown): string | null {
  if (typeof pattern !== "string" || !pattern || pattern.length > LONGEST_PATTERN) return null;
  return waysOf(pattern.match(TOKENS)!) <= MOST_WAYS ? pattern : null;
}

export function matches(text: string, pattern: string): boolean {
  if (text.length > LONGEST_TEXT) return true;
  try {
    return new RegExp(`^(?:${pattern})$`, "v").test(text);
  } catch {
    return true; // as in browsers: an invalid pattern is ignored
  }
}

/** In how many ways the tokens, up to the end of their group, can be tried; takes them off the list. */
function waysOf(tokens: string[]): number {
  let alternatives = 0;
  let ways = 1;
  for (let token = tokens.shift(); token !== undefined && token !== ")"; token = tokens.shift()) {
    if (token === "|") {
      alternatives += ways;
      ways = 1;
      continue;
    }
    if (/^\\[1-9k]/.test(token)) return Infinity; // refers back to a group
    const inner = token.startsWith("(") ? waysOf(tokens) : 1;
    const [least, most] = repetitionsAt(tokens);
    // What differs in itself and is repeated can be tried in exponentially many ways.
    ways *= most > 1 && inner > 1 ? Infinity : inner * (most - least + 1);
  }
  return alternatives + ways;
}

/** Reads the quantifier that follows, and the sign for "as few as possible" behind it. */
function repetitionsAt(tokens: string[]): [least: number, most: number] {
  const [, low, isRange, high] = /^\{(\d+)(,?)(\d*)\}$/.exec(tokens[0] ?? "") ?? [];
  const known = { "*": [0, LONGEST_TEXT], "+": [1, LONGEST_TEXT], "?": [0, 1] } as const;
  const found = low ? [Number(low), high || !isRange ? Number(high || low) : LONGEST_TEXT] : known[tokens[0] as keyof typeof known];
  if (!found) return [1, 1];
  tokens.shift();
  if (tokens[0] === "?") tokens.shift();
  const [least, most] = found as [number, number];
  return [least, Math.max(least, Math.min(most, LONGEST_TEXT))];
}
