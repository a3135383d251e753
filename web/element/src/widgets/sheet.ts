import { css } from "lit";

/** A widget cannot leave its own box: it is contained, whatever sizes and margins it has. */
export const widgetSheet = css`
  ck-widget {
    display: block; min-inline-size: 0; max-inline-size: 100%; contain: layout paint; border-radius: var(--ck-radius-lg); overflow-wrap: break-word;
    --w-pad: 0px; --w-gap: 0px;
    [hidden] { display: none; }

    &[aria-busy="true"] > *, &[inert] > * { opacity: 0.6; transition: opacity var(--ck-slow); }

    /* Roots */

    .card, .list {
      display: block; inline-size: 100%; border: 1px solid var(--ck-border); border-radius: var(--ck-radius-lg); background: var(--ck-bg); color: var(--ck-fg); overflow: clip;
    }
    .card {
      --w-pad: calc(var(--ck-space) * 4); max-inline-size: 32rem; padding: var(--w-pad);
      &[data-size="sm"] { max-inline-size: 24rem; }
      &[data-size="lg"] { max-inline-size: 40rem; }
      &[data-size="full"] { max-inline-size: 100%; }
      > .body { --w-gap: calc(var(--ck-space) * 2.5); display: flex; flex-direction: column; gap: var(--w-gap); }
      > .actions { display: flex; flex-wrap: wrap; justify-content: end; gap: calc(var(--ck-space) * 2); margin-block-start: calc(var(--ck-space) * 4); }
      > .status { margin-block-end: calc(var(--ck-space) * 3); }
    }
    details.card {
      > summary {
        display: flex; align-items: center; gap: calc(var(--ck-space) * 2); min-block-size: 28px; list-style: none; cursor: pointer; color: var(--ck-muted); font-size: var(--ck-size-sm);
        &::-webkit-details-marker { display: none; }
        svg, ck-icon, img { inline-size: 16px; block-size: 16px; }
        > svg:last-child { margin-inline-start: auto; transition: rotate var(--ck-fast); }
      }
      &[open] > summary { margin-block-end: calc(var(--ck-space) * 3); > svg:last-child { rotate: 180deg; } }
    }
    .status {
      display: flex; align-items: center; gap: calc(var(--ck-space) * 2); color: var(--ck-muted); font-size: var(--ck-size-sm);
      svg, ck-icon, img { inline-size: 16px; block-size: 16px; flex: none; border-radius: 3px; }
      img[data-frame] { outline: 1px solid var(--ck-border); }
    }
    .list {
      max-inline-size: 40rem;
      > .status { padding: calc(var(--ck-space) * 3) calc(var(--ck-space) * 4) 0; }
      > ul { padding: calc(var(--ck-space) * 1.5); }
    }
    .row {
      position: relative; border-radius: var(--ck-radius);
      & + & { margin-block-start: 2px; }
      > .hit {
        position: absolute; inset: 0; inline-size: 100%; border-radius: inherit;
        .row:hover > & { background: var(--ck-hover); }
        .row:active > & { background: var(--ck-pressed); }
        &:focus-visible { outline-offset: -2px; }
        &[data-busy] { cursor: progress; background: var(--ck-hover); & ~ .content { opacity: 0.5; } }
      }
      > .content {
        display: flex; align-items: center; gap: calc(var(--ck-space) * 3); min-block-size: 40px; padding: calc(var(--ck-space) * 2) calc(var(--ck-space) * 2.5);
        > * { min-inline-size: 0; }
      }
      > .hit ~ .content { position: relative; cursor: pointer; }
    }
    .more {
      display: flex; align-items: center; justify-content: center; gap: calc(var(--ck-space) * 1.5); inline-size: 100%; min-block-size: 36px; padding: calc(var(--ck-space) * 1.5);
      font-size: var(--ck-size-sm); font-weight: 500; color: var(--ck-muted);
      svg { inline-size: 16px; block-size: 16px; }
      &:hover { color: var(--ck-fg); background: var(--ck-hover); }
      &:focus-visible { outline-offset: -2px; }
    }
    .list > .more { border-block-start: 1px solid var(--ck-border); }

    /* Layout */

    .box {
      --w-gap: 0px; display: flex; flex-direction: column; gap: var(--w-gap); min-inline-size: 0; max-inline-size: 100%;
      &[data-direction="row"] { flex-direction: row; align-items: center; }
      > * { min-inline-size: 0; }
      > :is(.button, .badge, .icon, .divider, .image) { flex-shrink: 0; }
      &[data-direction="row"] > .button { flex-shrink: 1; }
      &[data-direction="col"] > :is(.button:not([data-block]), .badge) { align-self: start; }
      &[data-direction="row"] > .divider { align-self: stretch; inline-size: var(--w-line, 1px); block-size: auto; margin: 0 var(--w-spacing, 0); }
    }
    form.box { --w-gap: calc(var(--ck-space) * 2.5); }
    .basic { --w-gap: calc(var(--ck-space) * 2.5); padding: 3px; color: var(--ck-fg); }
    :is(.body, .box:not([data-direction="row"])) > .label + .field { margin-block-start: calc(var(--w-gap) * -0.5); }
    .body > :is(.button:not([data-block]), .badge, .icon) { align-self: start; }
    .spacer { flex: 1 1 auto; }
    .divider {
      border: none; inline-size: 100%; block-size: var(--w-line, 1px); margin: var(--w-spacing, 0px) 0; background: var(--w-line-color, var(--ck-border));
      &[data-flush] { inline-size: calc(100% + 2 * var(--w-pad)); max-inline-size: none; margin-inline: calc(-1 * var(--w-pad)); }
    }
    .transition > * { animation: w-appear var(--ck-slow) var(--ck-ease); }
    .unknown { display: flex; flex-direction: column; gap: calc(var(--ck-space) * 2); min-inline-size: 0; &:empty { display: none; } }

    /* Text */

    .title, .caption, .text, .label, .badge { unicode-bidi: plaintext; }
    .title, .caption, .text { min-inline-size: 0; white-space: pre-wrap; }
    [data-cut="line"] { overflow: hidden; white-space: nowrap; text-overflow: ellipsis; max-inline-size: 100%; }
    [data-cut="lines"] { display: -webkit-box; -webkit-box-orient: vertical; overflow: hidden; }
    .title {
      font-size: calc(var(--ck-size) * 1.25); line-height: 1.3; font-weight: 600; letter-spacing: -0.01em;
      &[data-size="sm"] { font-size: calc(var(--ck-size) * 1.0625); }
      &[data-size="lg"] { font-size: calc(var(--ck-size) * 1.5); }
      &[data-size="xl"] { font-size: calc(var(--ck-size) * 1.875); line-height: 1.2; }
      &[data-size="2xl"] { font-size: calc(var(--ck-size) * 2.25); line-height: 1.15; }
      &[data-size="3xl"] { font-size: calc(var(--ck-size) * 3); line-height: 1.1; letter-spacing: -0.02em; }
      &[data-size="4xl"] { font-size: calc(var(--ck-size) * 3.75); line-height: 1.1; letter-spacing: -0.02em; }
      &[data-size="5xl"] { font-size: calc(var(--ck-size) * 4.5); line-height: 1.05; letter-spacing: -0.02em; }
    }
    .caption {
      color: var(--ck-muted); font-size: var(--ck-size-xs); line-height: 1.4;
      &[data-size="sm"] { font-size: calc(var(--ck-size) * 0.6875); }
      &[data-size="lg"] { font-size: var(--ck-size-sm); }
    }
    .text, .label {
      font-size: var(--ck-size); line-height: 1.5;
      &[data-size="xs"] { font-size: var(--ck-size-xs); }
      &[data-size="sm"] { font-size: var(--ck-size-sm); }
      &[data-size="lg"] { font-size: var(--ck-size-lg); }
      &[data-size="xl"] { font-size: calc(var(--ck-size) * 1.25); line-height: 1.4; }
    }
    .label { display: block; font-weight: 500; }
    .required { color: var(--ck-danger); margin-inline-start: 2px; }

    /* Colours of badges and buttons */

    :is(.badge, .button) {
      --w-solid: var(--ck-surface-strong); --w-on: var(--ck-fg); --w-tone: var(--ck-fg); --w-soft: var(--ck-surface-strong);
      &[data-color="primary"] { --w-solid: var(--ck-accent); --w-on: var(--ck-on-accent); --w-tone: var(--ck-accent-text); --w-soft: var(--ck-accent-soft); }
      &[data-color="info"] { --w-solid: var(--ck-info-solid); --w-on: var(--ck-on-info); --w-tone: var(--ck-info); --w-soft: var(--ck-info-soft); }
      &[data-color="discovery"] { --w-solid: var(--ck-discovery-solid); --w-on: var(--ck-on-discovery); --w-tone: var(--ck-discovery); --w-soft: var(--ck-discovery-soft); }
      &[data-color="success"] { --w-solid: var(--ck-success-solid); --w-on: var(--ck-on-success); --w-tone: var(--ck-success); --w-soft: var(--ck-success-soft); }
      &:is([data-color="warning"], [data-color="caution"]) { --w-solid: var(--ck-warning-solid); --w-on: var(--ck-on-warning); --w-tone: var(--ck-warning); --w-soft: var(--ck-warning-soft); }
      &[data-color="danger"] { --w-solid: var(--ck-danger-solid); --w-on: var(--ck-on-danger); --w-tone: var(--ck-danger); --w-soft: var(--ck-danger-soft); }
      background: var(--w-soft); color: var(--w-tone); border: 1px solid transparent;
      &[data-variant="solid"] { background: var(--w-solid); color: var(--w-on); }
      &[data-variant="outline"] { background: none; border-color: color-mix(in oklab, var(--w-tone) 30%, var(--ck-bg)); }
      &[data-variant="ghost"] { background: none; }
    }
    .badge {
      display: inline-flex; align-items: center; max-inline-size: 100%; inline-size: fit-content; padding: 1px 7px; border-radius: var(--ck-radius-sm);
      font-size: var(--ck-size-xs); line-height: 1.5; font-weight: 500;
      &[data-size="md"] { padding: 2px 9px; font-size: calc(var(--ck-size) * 0.8125); }
      &[data-size="lg"] { padding: 3px 11px; font-size: var(--ck-size-sm); }
      &[data-pill] { border-radius: 999px; }
    }

    /* Controls: heights from 24 px, so that each can be hit */

    :is(.button, .field) {
      --w-height: var(--ck-control); --w-font: var(--ck-size-sm); --w-inline: calc(var(--ck-space) * 3.5);
      &[data-size="3xs"] { --w-height: 24px; --w-font: calc(var(--ck-size) * 0.6875); --w-inline: 8px; }
      &[data-size="2xs"] { --w-height: 24px; --w-font: var(--ck-size-xs); --w-inline: 8px; }
      &[data-size="xs"] { --w-height: 26px; --w-font: var(--ck-size-xs); --w-inline: 10px; }
      &[data-size="sm"] { --w-height: 30px; --w-font: calc(var(--ck-size) * 0.8125); --w-inline: 12px; }
      &[data-size="lg"] { --w-height: 40px; --w-inline: 16px; }
      &[data-size="xl"] { --w-height: 44px; --w-font: var(--ck-size); --w-inline: 18px; }
      &[data-size="2xl"] { --w-height: 48px; --w-font: var(--ck-size); --w-inline: 20px; }
      &[data-size="3xl"] { --w-height: 54px; --w-font: var(--ck-size-lg); --w-inline: 22px; }
    }
    .button {
      display: inline-flex; align-items: center; justify-content: center; gap: 6px; position: relative; max-inline-size: 100%; min-block-size: var(--w-height);
      padding: 2px var(--w-inline); border-radius: var(--ck-radius); font-size: var(--w-font); font-weight: 500; line-height: 1.25; text-align: center;
      transition: filter var(--ck-fast), background var(--ck-fast);
      > span { min-inline-size: 0; overflow-wrap: anywhere; }
      svg, ck-icon { inline-size: 16px; block-size: 16px; }
      &[data-icon-size="sm"] :is(svg, ck-icon) { inline-size: 14px; block-size: 14px; }
      &[data-icon-size="lg"] :is(svg, ck-icon) { inline-size: 18px; block-size: 18px; }
      &[data-icon-size="xl"] :is(svg, ck-icon) { inline-size: 20px; block-size: 20px; }
      &[data-icon-size="2xl"] :is(svg, ck-icon) { inline-size: 24px; block-size: 24px; }
      &[data-pill] { border-radius: var(--ck-radius-full); }
      &[data-block] { inline-size: 100%; }
      &[data-uniform] { inline-size: var(--w-height); padding-inline: 0; }
      &:hover:not(:disabled, [data-busy])::before { opacity: 1; }
      &::before { content: ""; position: absolute; inset: -1px; border-radius: inherit; background: color-mix(in srgb, currentColor 9%, transparent); opacity: 0; transition: opacity var(--ck-fast); pointer-events: none; }
      &:disabled { opacity: 0.45; }
    }
    :is(.button[data-busy], form[data-busy] .button[type="submit"]) {
      cursor: progress;
      > * { visibility: hidden; }
      &::after {
        content: ""; position: absolute; inset: 0; margin: auto; inline-size: 1.1em; block-size: 1.1em; border: 2px solid currentColor; border-inline-end-color: transparent;
        border-radius: 50%; animation: w-spin 0.8s linear infinite;
      }
    }
    form[inert] > * { opacity: 0.7; }

    /* Fields */

    .field {
      display: grid; position: relative; min-inline-size: 0; max-inline-size: 100%; font-size: var(--w-font); line-height: 1.4; align-items: center;
      > :is(input, select, textarea) {
        grid-area: 1 / 1; inline-size: 100%; min-inline-size: 0; min-block-size: var(--w-height); padding: 4px var(--w-gutter, 12px); border: 1px solid var(--ck-border-strong);
        border-radius: var(--ck-radius); background: var(--ck-bg); color: var(--ck-fg); font-size: var(--w-font); line-height: 1.4; text-overflow: ellipsis;
        &::placeholder { color: var(--ck-muted); opacity: 1; }
        &:focus-visible { outline-offset: -1px; }
        &[aria-invalid="true"] { border-color: var(--ck-danger); }
        &:disabled { opacity: 0.55; }
      }
      &:is([data-variant="soft"], [data-variant="solid"]) > :is(input, select, textarea) { background: var(--ck-surface); }
      &[data-variant="ghost"] > :is(input, select) { background: none; border-color: transparent; &:hover { background: var(--ck-hover); } }
      &[data-gutter="2xs"] { --w-gutter: 4px; } &[data-gutter="xs"] { --w-gutter: 6px; } &[data-gutter="sm"] { --w-gutter: 8px; }
      &[data-gutter="md"] { --w-gutter: 12px; } &[data-gutter="lg"] { --w-gutter: 16px; } &[data-gutter="xl"] { --w-gutter: 20px; }
      &[data-pill] > :is(input, select) { border-radius: 999px; }
      > textarea { resize: vertical; padding-block: 8px; &[data-grows] { field-sizing: content; resize: none; max-block-size: calc(var(--w-rows, 12) * 1lh + 18px); } }
      > .error { grid-row: 2; color: var(--ck-danger); font-size: var(--ck-size-xs); line-height: 1.4; &:not(:empty) { padding-block-start: 4px; } }
    }
    .field:has(> [data-busy]) { opacity: 0.6; cursor: progress; }
    .field:is([data-kind="select"], [data-kind="date"]) {
      inline-size: fit-content; min-inline-size: 9rem; &[data-block] { inline-size: 100%; }
    }
    .field[data-kind="select"] {
      > select { appearance: none; padding-inline-end: 34px; text-overflow: ellipsis; }
      > svg { grid-area: 1 / 1; justify-self: end; inline-size: 16px; block-size: 16px; margin-inline-end: 11px; pointer-events: none; color: var(--ck-muted); }
      > .clear { margin-inline-end: 30px; }
      &[data-filled]:has(.clear) > select { padding-inline-end: 58px; }
    }
    .field[data-kind="date"] { > .clear { margin-inline-end: 36px; } &[data-filled]:has(.clear) > input { padding-inline-end: 12px; } &:has(.clear) { min-inline-size: 11.5rem; } }
    .clear {
      grid-area: 1 / 1; justify-self: end; display: grid; place-items: center; inline-size: 24px; block-size: 24px; border-radius: 999px; color: var(--ck-muted); z-index: 1;
      svg { inline-size: 14px; block-size: 14px; }
      &:hover { background: var(--ck-hover); color: var(--ck-fg); }
      .field:not([data-filled]) > & { display: none; }
    }
    .choices { display: flex; flex-direction: column; gap: 2px; &[data-direction="row"] { flex-flow: row wrap; gap: 2px calc(var(--ck-space) * 4); } }
    .choice {
      display: inline-flex; align-items: start; gap: calc(var(--ck-space) * 2); min-block-size: 28px; padding-block: 3px; font-size: var(--ck-size-sm); line-height: 1.5; inline-size: fit-content;
      > input { flex: none; inline-size: 16px; block-size: 16px; margin: 2.5px 0 0; accent-color: var(--ck-accent-text); }
      &:has(:disabled) { color: var(--ck-muted); }
    }
    .field[data-kind="editable"] {
      font: inherit;
      > :is(input, textarea) {
        padding: 2px 0; min-block-size: 28px; border: none; border-block-end: 1px solid var(--ck-border-strong); border-radius: 0; background: none;
        font: inherit; text-align: inherit; text-decoration: inherit; color: inherit;
        &:hover { border-block-end-color: currentColor; }
        &:focus-visible { outline-offset: 2px; border-radius: 1px; }
        &[aria-invalid="true"] { border-color: var(--ck-danger); }
      }
    }

    /* Icons, images, tables */

    .icon {
      display: inline-flex; flex: none; --w-icon: 18px; color: var(--ck-icon);
      svg, ck-icon { inline-size: var(--w-icon); block-size: var(--w-icon); }
      &[data-size="xs"] { --w-icon: 14px; } &[data-size="sm"] { --w-icon: 16px; } &[data-size="lg"] { --w-icon: 20px; }
      &[data-size="xl"] { --w-icon: 24px; } &[data-size="2xl"] { --w-icon: 28px; } &[data-size="3xl"] { --w-icon: 36px; }
    }
    .image {
      display: block; max-inline-size: 100%; object-fit: cover; border-radius: var(--ck-radius-sm); align-self: start;
      &[data-frame] { outline: 1px solid var(--ck-border); outline-offset: -1px; }
      &[data-flush] {
        inline-size: calc(100% + 2 * var(--w-pad)); max-inline-size: none; margin-inline: calc(-1 * var(--w-pad)); border-radius: 0; align-self: auto;
        &:first-child { margin-block-start: calc(-1 * var(--w-pad)); }
        &:last-child { margin-block-end: calc(-1 * var(--w-pad)); }
      }
    }
    .table {
      overflow-x: auto; max-inline-size: 100%; &:focus-visible { outline-offset: -2px; }
      table { border-collapse: collapse; inline-size: 100%; font-size: var(--ck-size-sm); }
      :is(td, th) { padding: calc(var(--ck-space) * 1.5) calc(var(--ck-space) * 2); border-block-end: 1px solid var(--ck-border); text-align: start; font-weight: 400; vertical-align: top; }
      :is(td, th):first-child { padding-inline-start: 0; }
      :is(td, th):last-child { padding-inline-end: 0; }
      tbody tr:last-child td { border-block-end: none; }
      th, th .text { color: var(--ck-muted); font-size: var(--ck-size-xs); font-weight: 500; }
      .cell { display: flex; flex-direction: column; gap: 2px; min-inline-size: 0; }
      td .text { font-size: inherit; }
      :is(td, th) { &[data-size="xs"] { inline-size: 3rem; } &[data-size="sm"] { inline-size: 5rem; } &[data-size="md"] { inline-size: 8rem; }
        &[data-size="lg"] { inline-size: 12rem; } &[data-size="xl"] { inline-size: 18rem; } }
      [data-align="end"] .text { white-space: nowrap; font-variant-numeric: tabular-nums; }
    }
  }
  @keyframes w-spin { to { rotate: 1turn; } }
  @keyframes w-appear { from { opacity: 0; translate: 0 4px; } }
  @media (forced-colors: active) {
    ck-widget { .badge, .button { border-color: CanvasText; } .divider { background: CanvasText; } }
  }
`;
