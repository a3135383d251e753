/**
 * A build plugin: leaves out what the element does not use of marked. Its module makes an instance of everything when it
 * is loaded, so tree shaking alone keeps the HTML renderer, the parser and the hooks.
 */
const INSTANCE = /var (\w+)=new \w+;function (\w+)\(\w+,\w+\)\{return \1\.parse\([^]*?;export\{([^{}]*)\};?/;

export function markedLexer() {
  return {
    name: "marked-lexer",
    transform(code, id) {
      if (!/[/\\]marked\.esm\.js$/.test(id)) return null;
      const [, , , exports] = INSTANCE.exec(code) ?? this.error("marked's module has changed: adapt marked-lexer.js");
      const used = exports.split(",").filter((binding) => /\bas (?:Lexer|Tokenizer)$/.test(binding));
      return { code: code.replace(INSTANCE, () => `export{${used.join(",")}};`), map: null };
    },
  };
}
