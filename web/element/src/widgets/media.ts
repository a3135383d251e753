/** Icon and Image. */
import { html, nothing } from "lit";

import { imageSource } from "../addresses";
import { anyIcon } from "../icons/icon";
import { styled } from "../styled";
import type { Render } from "./context";
import { backgroundOf, blockStyles, textColorOf } from "./css-values";
import { register } from "./node";
import { oneOf, textOf } from "./values";

const ICON_SIZES = ["xs", "sm", "md", "lg", "xl", "2xl", "3xl"] as const;
const POSITIONS = ["top left", "top", "top right", "left", "center", "right", "bottom left", "bottom", "bottom right"] as const;

const icon: Render = (node) =>
  html`<span class="icon" data-size=${oneOf(node.size, ICON_SIZES, "md")} ${styled({ color: textColorOf(node.color) })}>${anyIcon(node.name)}</span>`;

const image: Render = (node, { chat }) => {
  const alt = textOf(node.alt);
  const source = imageSource(node.src, chat.shown.thread?.allowed_image_domains);
  if (!source) return alt ? html`<p class="text" data-size="sm">${alt}</p>` : nothing;
  return html`<img
    class="image"
    src=${source}
    alt=${alt}
    loading="lazy"
    decoding="async"
    referrerpolicy="no-referrer"
    ?data-frame=${node.frame === true}
    ?data-flush=${node.flush === true}
    ${styled({
      ...blockStyles(node),
      background: backgroundOf(node.background),
      "object-fit": oneOf(node.fit, ["cover", "contain", "fill", "scale-down", "none"]),
      "object-position": oneOf(node.position, POSITIONS),
    })}
  />`;
};

register({ Icon: icon, Image: image });
