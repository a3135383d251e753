/** An image that the assistant makes: a placeholder, then versions of it that become sharper, then the image. */
import { css, html, nothing } from "lit";

import { imageSource } from "../addresses";
import { icon } from "../icons/core";
import { define } from "../part";
import { styled } from "../styled";
import { ItemPart } from "./item-part";

class GeneratedImage extends ItemPart {
  static override properties = { ...ItemPart.properties, brokenUrl: { state: true }, loadedUrl: { state: true } };
  static override sheet = css`
    ck-generated-image {
      display: block;
      figure { position: relative; inline-size: min(100%, 26rem); overflow: hidden; border-radius: var(--ck-radius-lg); background: var(--ck-surface); }
      figure.pending { aspect-ratio: 1; }
      img { display: block; inline-size: 100%; block-size: auto; transition: filter var(--ck-slow); }
      .pending img { block-size: 100%; object-fit: cover; }
      .creating img { filter: blur(6px); }
      .state {
        position: absolute; inset-inline-start: calc(var(--ck-space) * 3); inset-block-end: calc(var(--ck-space) * 3); display: flex; align-items: center; gap: calc(var(--ck-space) * 2);
        padding: var(--ck-space) calc(var(--ck-space) * 3); border-radius: var(--ck-radius-full); background: var(--ck-elevated); font-size: var(--ck-size-xs);
      }
      .bar { position: absolute; inset-inline: 0; inset-block-end: 0; block-size: 3px; span { display: block; block-size: 100%; background: var(--ck-accent); transition: inline-size var(--ck-slow); } }
      .failed { display: flex; align-items: center; gap: calc(var(--ck-space) * 2); padding: calc(var(--ck-space) * 4); color: var(--ck-muted); font-size: var(--ck-size-sm); }
      .actions {
        position: absolute; inset-block-start: calc(var(--ck-space) * 2); inset-inline-end: calc(var(--ck-space) * 2); display: flex; gap: var(--ck-space); opacity: 0; transition: opacity var(--ck-fast);
        a { background: var(--ck-elevated); color: var(--ck-fg); box-shadow: var(--ck-shadow-sm); }
      }
      figure:is(:hover, :focus-within) .actions { opacity: 1; }
      @media (hover: none) { .actions { opacity: 1; } }
    }
  `;

  private declare brokenUrl: string | undefined;
  private declare loadedUrl: string | undefined;

  override render() {
    const { item, isOpen, progress } = this.shown;
    if (item.type !== "generated_image") return nothing;
    const { strings } = this.chat;
    const url = imageSource(item.image?.url);
    if (!isOpen && (!url || url === this.brokenUrl)) {
      return html`<figure class="failed" role="img" aria-label=${strings.generatedImage}>${icon("image")} ${url ? strings.imageFailed : strings.imageMissing}</figure>`;
    }
    const isPending = !url || this.loadedUrl === undefined;
    return html`<figure class="${isPending ? "pending" : ""} ${isOpen ? "creating" : ""}">
      ${url ? html`<img src=${url} alt=${strings.generatedImage} decoding="async" @load=${this.loaded} @error=${this.broken} />` : nothing}
      ${isOpen ? this.state(progress) : nothing} ${url && !isOpen ? this.actions(url) : nothing}
    </figure>`;
  }

  private state(progress: number | null) {
    const { creatingImage } = this.chat.strings;
    const percent = progress === null ? null : Math.round(Math.min(1, Math.max(0, progress)) * 100);
    return html`<figcaption class="state"><span class="ck-spinner"></span>${creatingImage}</figcaption>
      ${percent === null
        ? nothing
        : html`<div class="bar" role="progressbar" aria-label=${creatingImage} aria-valuenow=${percent}><span ${styled({ "inline-size": `${percent}%` })}></span></div>`}`;
  }

  private actions(url: string) {
    const { openImage, openInNewTab, download } = this.chat.strings;
    return html`<div class="actions">
      ${url.startsWith("http")
        ? html`<a class="ck-icon-button" href=${url} target="_blank" rel="noopener noreferrer" aria-label="${openImage} (${openInNewTab})" title=${openImage}>${icon("external-link")}</a>`
        : nothing}
      <a class="ck-icon-button" href=${url} download target="_blank" rel="noopener noreferrer" aria-label=${download} title=${download}>${icon("download")}</a>
    </div>`;
  }

  private readonly loaded = (event: Event) => {
    this.loadedUrl = (event.target as HTMLImageElement).src;
  };

  private readonly broken = (event: Event) => {
    this.brokenUrl = (event.target as HTMLImageElement).src;
  };
}

define("ck-generated-image", GeneratedImage);
