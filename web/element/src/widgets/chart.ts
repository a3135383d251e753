/** Chart. */
import { html } from "lit";

import { styled } from "../styled";
import type { Render } from "./context";
import "./chart-view";
import { blockStyles } from "./css-values";
import { register } from "./node";

const chart: Render = (node, { chat }) => html`<ck-chart ${styled(blockStyles(node))} .chat=${chat} .node=${node}></ck-chart>`;

register({ Chart: chart });
