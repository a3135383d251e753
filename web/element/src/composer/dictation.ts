/** Dictation: replaces the composer's buttons while the user speaks, then inserts what was said. Loaded on demand. */
import { css, html } from "lit";

import { icon } from "../icons/core";
import { define, Part } from "../part";
import { Recording } from "./recording";

const BARS = 48;
const BAR_MS = 80;

class Dictation extends Part {
  static override properties = { ...Part.properties, onText: { attribute: false }, onClose: { attribute: false }, state: { state: true }, seconds: { state: true } };
  static override sheet = css`
    ck-dictation {
      display: flex; align-items: center; gap: calc(2 * var(--ck-space)); min-inline-size: 0; cursor: default;
      > canvas { flex: 1; min-inline-size: 0; block-size: 28px; color: var(--ck-fg); }
      > p { flex: 1; margin: 0; padding-inline: calc(2 * var(--ck-space)); color: var(--ck-muted); font-size: 0.875em; }
      > time { color: var(--ck-muted); font-size: 0.875em; font-variant-numeric: tabular-nums; }
      > [data-dot] { flex: none; inline-size: 8px; block-size: 8px; margin-inline-start: calc(2 * var(--ck-space)); border-radius: 50%; background: var(--ck-danger); animation: ck-recording 1.6s ease-in-out infinite; }
    }
    @keyframes ck-recording { 50% { opacity: 0.3; } }
    @media (prefers-reduced-motion: reduce) { ck-dictation > [data-dot] { animation: none; } }
  `;

  declare private state: "asking" | "recording" | "transcribing";
  declare private seconds: number;
  declare onText: (text: string) => void;
  declare onClose: () => void;
  private recording: Recording | null = null;
  private readonly levels: number[] = [];
  private timer: ReturnType<typeof setInterval> | undefined;
  private readonly transcription = new AbortController();

  constructor() {
    super();
    this.state = "asking";
    this.seconds = 0;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.addEventListener("keydown", this.keyed);
    void this.start();
  }

  override firstUpdated() {
    this.querySelector<HTMLElement>("[data-cancel]")?.focus(); // the button that had the focus is gone
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.removeEventListener("keydown", this.keyed);
    clearInterval(this.timer);
    this.transcription.abort();
    this.recording?.release();
  }

  override render() {
    const { state, seconds } = this;
    const { strings } = this.chat;
    const cancel = html`<button type="button" class="ck-icon-button" data-cancel aria-label=${strings.cancelDictation} @click=${() => this.onClose()}>${icon("close")}</button>`;
    if (state !== "recording") return html`<p role="status">${state === "asking" ? strings.allowMicrophone : strings.transcribing}</p>${cancel}`;
    const time = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    return html`<span data-dot></span><canvas role="img" aria-label=${strings.recording}></canvas><time>${time}</time>${cancel}
      <button type="button" class="ck-icon-button primary" data-accept aria-label=${strings.acceptDictation} @click=${this.accept}>${icon("check")}</button>`;
  }

  private async start(): Promise<void> {
    try {
      const recording = await Recording.start();
      if (!this.isConnected) return recording.release();
      this.recording = recording;
    } catch (error) {
      this.explain(error as Error);
      return this.onClose();
    }
    this.state = "recording";
    const startedAt = Date.now();
    this.timer = setInterval(() => {
      this.levels.push(this.recording!.level);
      if (this.levels.length > BARS) this.levels.shift();
      this.seconds = Math.floor((Date.now() - startedAt) / 1000);
      this.draw();
    }, BAR_MS);
    await this.updateComplete;
    this.querySelector<HTMLElement>("[data-accept]")?.focus();
  }

  private readonly accept = async () => {
    const { chat, recording, transcription } = this;
    clearInterval(this.timer);
    this.state = "transcribing";
    try {
      const audio = await recording!.stop();
      const params = { audio_base64: await base64(audio), mime_type: audio.type };
      const { text } = await chat.client.ask<{ text: string }>("input.transcribe", params, transcription.signal);
      this.onClose();
      if (text.trim()) this.onText(text.trim());
      else chat.toast({ level: "info", text: chat.strings.nothingHeard });
    } catch (error) {
      if (transcription.signal.aborted) return;
      chat.report(error as Error);
      this.onClose();
    }
  };

  private explain(error: Error): void {
    const { chat } = this;
    const { strings } = chat;
    const texts: Record<string, string> = {
      NotAllowedError: strings.microphoneDenied,
      NotFoundError: strings.microphoneMissing,
      NotReadableError: strings.microphoneBusy,
      SecurityError: strings.microphoneInsecure,
    };
    chat.emit("error", { error });
    chat.toast({ level: "danger", text: texts[error.name] ?? strings.microphoneBusy });
  }

  /** The last seconds as bars; drawn, as 48 elements would render again twelve times a second. */
  private draw(): void {
    const canvas = this.querySelector("canvas");
    const context = canvas?.getContext("2d");
    if (!canvas || !context) return;
    const { clientWidth: width, clientHeight: height } = canvas;
    const scale = devicePixelRatio;
    if (canvas.width !== Math.round(width * scale)) Object.assign(canvas, { width: Math.round(width * scale), height: Math.round(height * scale) });
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    context.fillStyle = getComputedStyle(canvas).color;
    const step = width / BARS;
    for (const [index, level] of this.levels.entries()) {
      const bar = Math.max(2, level * height);
      context.beginPath();
      context.roundRect(width - (this.levels.length - index) * step, (height - bar) / 2, Math.min(3, step / 2), bar, 1.5);
      context.fill();
    }
  }

  private readonly keyed = (event: KeyboardEvent) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    this.onClose();
  };
}

async function base64(blob: Blob): Promise<string> {
  const url = await new Promise<string>((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result as string);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
  return url.slice(url.indexOf(",") + 1);
}

define("ck-dictation", Dictation);
