/** Decodes HTML's character references. Of the named ones only those that answers contain; the others stay as written. */
const NAMES: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0", shy: "\u00ad" };
const MORE =
  "copy© reg® trade™ hellip… mdash— ndash– lsquo‘ rsquo’ sbquo‚ ldquo“ rdquo” bdquo„ laquo« raquo» bull• middot· deg° plusmn± times× divide÷ minus− " +
  "frac12½ frac14¼ frac34¾ sup1¹ sup2² sup3³ micro µ euro€ pound£ yen¥ cent¢ sect§ para¶ dagger† larr← uarr↑ rarr→ darr↓ harr↔ lArr⇐ rArr⇒ hArr⇔ " +
  "ne≠ le≤ ge≥ asymp≈ equiv≡ infin∞ sum∑ prod∏ radic√ int∫ part∂ nabla∇ isin∈ notin∉ cap∩ cup∪ sub⊂ sup⊃ forall∀ exist∃ empty∅ and∧ or∨ not¬ " +
  "alpha α beta β gamma γ delta δ epsilon ε theta θ lambda λ mu μ pi π rho ρ sigma σ tau τ phi φ omega ω Gamma Γ Delta Δ Theta Θ Lambda Λ Pi Π Sigma Σ Phi Φ Omega Ω " +
  "Auml Ä Ouml Ö Uuml Ü auml ä ouml ö uuml ü szlig ß eacute é egrave è ecirc ê agrave à acirc â ccedil ç ntilde ñ iexcl¡ iquest¿";
for (const [, name, character] of MORE.matchAll(/([A-Za-z]+\d*) ?(\S)/gu)) NAMES[name!] = character!;

export function decodeEntities(text: string): string {
  if (!text.includes("&")) return text;
  return text.replace(/&(?:#x([\da-f]{1,6})|#(\d{1,7})|([a-z]+\d*));/gi, (whole, hex?: string, decimal?: string, name?: string) => {
    if (name) return NAMES[name] ?? whole;
    const code = hex ? parseInt(hex, 16) : Number(decimal);
    return code === 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? "\ufffd" : String.fromCodePoint(code);
  });
}
