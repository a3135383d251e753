/** The sources of an answer or of a search: a row that opens. Icons of the sites are not fetched: that would tell their hosts. */
import { css, html, nothing } from "lit";

import { domainOf, linkTarget } from "../addresses";
import { icon } from "../icons/core";
import { define, Part } from "../part";
import type { Source } from "../protocol/wire";
import "./entity-tag";

class Sources extends Part {
  static override properties = { ...Part.properties, sources: { attribute: false } };
  static override sheet = css`
    ck-sources {
      display: block; margin-block-start: calc(var(--ck-space) * 3);
      summary {
        display: inline-flex; align-items: center; gap: calc(var(--ck-space) * 1.5); min-block-size: 28px; padding-inline: calc(var(--ck-space) * 2.5);
        border: 1px solid var(--ck-border); border-radius: var(--ck-radius-full); color: var(--ck-muted); font-size: var(--ck-size-xs); font-weight: 500;
        cursor: pointer; list-style: none; transition: background var(--ck-fast);
        &::-webkit-details-marker { display: none; }
        &:hover { background: var(--ck-hover); color: var(--ck-fg); }
        svg { inline-size: 14px; block-size: 14px; transition: rotate var(--ck-fast); }
      }
      details[open] summary svg { rotate: 180deg; }
    }
  `;

  declare sources: Source[];

  override render() {
    const unique = distinct(this.sources);
    return html`<details>
      <summary>${this.chat.strings.sources(unique.length)} ${icon("chevron-down")}</summary>
      <ck-source-list .chat=${this.chat} .sources=${unique}></ck-source-list>
    </details>`;
  }
}

class SourceList extends Part {
  static override properties = { ...Part.properties, sources: { attribute: false } };
  static override sheet = css`
    ck-source-list {
      display: block; margin-block-start: calc(var(--ck-space) * 2);
      ul { display: grid; grid-template-columns: minmax(0, 1fr); gap: 2px; }
      .source {
        display: flex; align-items: baseline; gap: calc(var(--ck-space) * 2); padding: calc(var(--ck-space) * 1.5) calc(var(--ck-space) * 2); margin-inline-start: calc(var(--ck-space) * -2);
        border-radius: var(--ck-radius); color: inherit; text-decoration: none; font-size: var(--ck-size-sm); line-height: 1.4;
        & > svg { align-self: center; inline-size: 16px; block-size: 16px; color: var(--ck-icon); }
      }
      a.source:hover { background: var(--ck-hover); .title { text-decoration: underline; text-underline-offset: 3px; } }
      .title { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; min-inline-size: 4rem; }
      .detail { flex: none; max-inline-size: 45%; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; color: var(--ck-muted); font-size: var(--ck-size-xs); }
      ck-entity-tag { margin-block: 2px; }
    }
  `;

  declare sources: Source[];

  override render() {
    return html`<ul>${this.sources.map((source) => html`<li>${this.row(source)}</li>`)}</ul>`;
  }

  private row(source: Source) {
    if (source.type === "entity") return html`<ck-entity-tag .chat=${this.chat} .entity=${source} .text=${source.title}></ck-entity-tag>`;
    if (source.type === "file") return html`<span class="source">${icon("file")}<span class="title">${source.title || source.filename}</span></span>`;
    const link = linkTarget(source.url);
    const detail = source.attribution || domainOf(link);
    const content = html`${icon("globe")}<span class="title">${source.title || detail}</span>${detail ? html`<span class="detail">${detail}</span>` : nothing}`;
    if (!link) return html`<span class="source">${content}</span>`;
    return html`<a class="source" href=${link} target="_blank" rel="noopener noreferrer" title=${source.description || link}>${content}</a>`;
  }
}

/** The same page is often cited for several sentences. */
function distinct(sources: Source[]): Source[] {
  const byKey = new Map<string, Source>();
  for (const source of sources) {
    const key = source.type === "url" ? source.url : source.type === "file" ? source.filename : source.id;
    if (!byKey.has(`${source.type} ${key}`)) byKey.set(`${source.type} ${key}`, source);
  }
  return [...byKey.values()];
}

define("ck-sources", Sources);
define("ck-source-list", SourceList);
