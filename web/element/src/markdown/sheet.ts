/** Typography of answers. */
import { css } from "lit";

export const markdownSheet = css`
  ck-markdown {
    --ck-code-keyword: var(--ck-discovery); --ck-code-string: var(--ck-success); --ck-code-number: var(--ck-info);
    --ck-code-title: var(--ck-info); --ck-code-name: var(--ck-warning); --ck-code-comment: var(--ck-muted);
    display: block; overflow-wrap: anywhere; line-height: 1.6;

    & > div > div:not(:only-child) { content-visibility: auto; contain-intrinsic-block-size: auto 60rem; }
    & :where(p, ul, ol, li, blockquote, h3, h4, h5, h6, hr, .code, .table) { margin: 0; }
    & :where(ul) { list-style: disc; }
    & :where(ol) { list-style: decimal; }
    & :where(ul ul) { list-style: circle; }
    & > div > div > * + *, & > div > div + div > *, & blockquote > * + *, & li > * + p, & li > p + *, & li > * + .code, & li > .code + *, & li > * + .table, & li > * + blockquote { margin-block-start: calc(var(--ck-space) * 3.5); }
    & > div > div > .continued { margin-block-start: 0; }
    & > div > div > :is(h3, h4, h5, h6):not(:first-child), & > div > div + div > :is(h3, h4, h5, h6) { margin-block-start: calc(var(--ck-space) * 6); }
    & > div > div > :is(h3, h4, h5, h6) + * { margin-block-start: calc(var(--ck-space) * 2); }

    & h3, & h4, & h5, & h6 { font-weight: 600; line-height: 1.35; text-wrap: balance; }
    & h3 { font-size: 1.35em; letter-spacing: -0.01em; }
    & h4 { font-size: 1.175em; }
    & h5, & h6 { font-size: 1em; }
    & h6 { color: var(--ck-muted); }
    & strong { font-weight: 600; }
    & hr { border: 0; border-block-start: 1px solid var(--ck-border); }
    & > div > div > hr:not(:first-child), & > div > div > hr + * { margin-block-start: calc(var(--ck-space) * 6); }

    & a:not(.citation) { color: inherit; text-decoration: underline; text-decoration-color: color-mix(in srgb, currentcolor 40%, transparent); text-decoration-thickness: 1px; text-underline-offset: 0.2em; border-radius: 2px; }
    & a:not(.citation):hover { text-decoration-color: currentcolor; }
    & :is(a, button, pre, .table):focus-visible { outline: 2px solid var(--ck-accent); outline-offset: 1px; }

    & ul, & ol { padding-inline-start: 1.6em; }
    & ol:has(> li:nth-child(100)) { padding-inline-start: 2.4em; }
    & li > :is(ul, ol) { margin-block-start: var(--ck-space); }
    & li + li { margin-block-start: var(--ck-space); }
    & li.loose + li.loose { margin-block-start: calc(var(--ck-space) * 2.5); }
    & li::marker { color: var(--ck-muted); font-variant-numeric: tabular-nums; }
    & :is(ul, ol).continued { margin-block-start: var(--ck-space); }
    & li.task { list-style: none; margin-inline-start: -1.6em; padding-inline-start: 1.6em; position: relative; }
    & .box {
      position: absolute; inset-inline-start: 0; inset-block-start: 0.3em; box-sizing: border-box; inline-size: 1em; block-size: 1em;
      border: 1.5px solid var(--ck-muted); border-radius: 3px;
    }
    & .box.checked::after {
      content: ""; position: absolute; inset: 0.06em 0.26em 0.2em; border: solid var(--ck-fg); border-width: 0 2px 2px 0; transform: rotate(45deg);
    }

    & blockquote { border-inline-start: 3px solid var(--ck-border); padding-inline-start: calc(var(--ck-space) * 4); color: color-mix(in srgb, var(--ck-fg) 80%, var(--ck-muted)); }
    & img { display: block; max-inline-size: 100%; max-block-size: 24rem; border-radius: var(--ck-radius); margin-block: calc(var(--ck-space) * 2); }
    & .math { white-space: pre-wrap; font-family: var(--ck-mono); font-size: 0.9em; }

    & .table { overflow-x: auto; overscroll-behavior-x: contain; }
    & .table table { border-collapse: collapse; font-size: 0.9375em; line-height: 1.45; min-inline-size: 50%; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
    & th, & td { padding: calc(var(--ck-space) * 2) calc(var(--ck-space) * 3); text-align: start; vertical-align: top; border-block-end: 1px solid var(--ck-border); max-inline-size: 28rem; min-inline-size: 4rem; overflow-wrap: anywhere; }
    & :is(th, td):first-child { padding-inline-start: 0; }
    & th { font-weight: 600; border-block-end-color: var(--ck-muted); }
    & tbody tr:last-child td { border-block-end: 0; }
    & .align-center { text-align: center; }
    & .align-right { text-align: end; }

    & code { font-family: var(--ck-mono); font-size: 0.875em; font-variant-ligatures: none; }
    & :not(pre) > code { background: var(--ck-surface); border-radius: 5px; padding: 0.15em 0.35em; box-decoration-break: clone; -webkit-box-decoration-break: clone; }
    & .code { background: var(--ck-surface); border-radius: var(--ck-radius); overflow: hidden; }
    & .code .bar {
      display: flex; justify-content: space-between; align-items: center; gap: calc(var(--ck-space) * 2); min-block-size: 2.25rem; box-sizing: border-box;
      padding: var(--ck-space) var(--ck-space) 0 calc(var(--ck-space) * 4); color: var(--ck-muted); font-size: 0.8125em; line-height: 1.4;
    }
    & .copy {
      font: inherit; color: inherit; background: none; border: 0; border-radius: calc(var(--ck-radius) * 0.7); cursor: pointer;
      padding: var(--ck-space) calc(var(--ck-space) * 2.5); min-block-size: 1.75rem;
    }
    & .copy:hover { background: var(--ck-hover); color: var(--ck-fg); }
    & pre { margin: 0; padding: calc(var(--ck-space) * 1.5) calc(var(--ck-space) * 4) calc(var(--ck-space) * 3.5); overflow-x: auto; overscroll-behavior-x: contain; tab-size: 4; line-height: 1.55; overflow-wrap: normal; direction: ltr; text-align: left; }
    & pre:focus-visible { outline-offset: -2px; border-radius: var(--ck-radius); }
    & pre code > span { display: block; inline-size: max-content; min-inline-size: 100%; white-space: pre; }

    & .hl-keyword, & .hl-literal, & .hl-built_in, & .hl-selector-tag, & .hl-section { color: var(--ck-code-keyword); }
    & .hl-string, & .hl-regexp, & .hl-addition, & .hl-attribute, & .hl-bullet { color: var(--ck-code-string); }
    & .hl-number, & .hl-symbol, & .hl-variable, & .hl-template-variable, & .hl-link { color: var(--ck-code-number); }
    & .hl-title, & .hl-type, & .hl-selector-id, & .hl-selector-class { color: var(--ck-code-title); }
    & .hl-name, & .hl-attr, & .hl-meta, & .hl-property, & .hl-deletion { color: var(--ck-code-name); }
    & .hl-comment, & .hl-quote { color: var(--ck-code-comment); font-style: italic; }
    & .hl-subst { color: inherit; }

    & .citation {
      display: inline-block; vertical-align: middle; box-sizing: border-box; max-inline-size: 14rem; margin-inline-start: 0.3em; padding: 0 0.6em;
      overflow: hidden; text-overflow: ellipsis; white-space: nowrap; user-select: none; cursor: pointer;
      font: 500 0.75em / 1.35rem var(--ck-font); color: var(--ck-muted); background: var(--ck-surface); border: 0; border-radius: var(--ck-radius-full); text-decoration: none;
    }
    & .citation:hover, & .citation:focus-visible { color: var(--ck-on-accent); background: var(--ck-accent); }
  }
`;
