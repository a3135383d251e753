/** A build plugin: minifies the style sheets in the components' css`…` literals. Literals with expressions stay as they are. */
import { transform } from "lightningcss";

const LITERAL = /\bcss`([^`$\\]*)`/g;

export function minifyCss() {
  return {
    name: "minify-css",
    transform: {
      filter: { id: /\/src\/.*\.ts$/, code: "css`" },
      handler(code, id) {
        return code.replace(LITERAL, (_match, css) => `css\`${minified(css, id)}\``);
      },
    },
  };
}

function minified(css, filename) {
  const { code } = transform({ filename, code: Buffer.from(css), minify: true });
  return code.toString().replace(/[\\`]|\$\{/g, "\\$&");
}
