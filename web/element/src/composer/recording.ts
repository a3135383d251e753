/** Records the microphone, and tells how loud it is. */

/** What the server's `input.transcribe` takes, the best first. */
const TYPES = ["audio/webm;codecs=opus", "audio/mp4", "audio/ogg;codecs=opus"];

export class Recording {
  private readonly chunks: Blob[] = [];
  private readonly recorder: MediaRecorder;
  private readonly audio = new AudioContext();
  private readonly analyser = this.audio.createAnalyser();
  private readonly samples: Uint8Array<ArrayBuffer>;

  private constructor(private readonly stream: MediaStream) {
    const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
    this.recorder = new MediaRecorder(stream, mimeType ? { mimeType } : {});
    this.recorder.addEventListener("dataavailable", ({ data }) => this.chunks.push(data));
    void this.audio.resume(); // Safari suspends one that no press has made
    this.analyser.fftSize = 512;
    this.samples = new Uint8Array(this.analyser.fftSize);
    this.audio.createMediaStreamSource(stream).connect(this.analyser);
    this.recorder.start(1000);
  }

  /** Asks for the microphone. Rejects as `getUserMedia` does. */
  static async start(): Promise<Recording> {
    // On plain HTTP the browser has no `mediaDevices`.
    if (!navigator.mediaDevices || typeof MediaRecorder === "undefined") throw new DOMException("", "SecurityError");
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    try {
      return new Recording(stream);
    } catch (error) {
      switchOff(stream);
      throw error;
    }
  }

  /** The loudness now, from 0 to 1. */
  get level(): number {
    this.analyser.getByteTimeDomainData(this.samples);
    let sum = 0;
    for (const sample of this.samples) sum += (sample / 128 - 1) ** 2;
    return Math.min(1, Math.sqrt(sum / this.samples.length) * 4);
  }

  /** Ends it and returns the audio. */
  async stop(): Promise<Blob> {
    const { recorder } = this;
    if (recorder.state !== "inactive") {
      const stopped = new Promise((resolve) => recorder.addEventListener("stop", resolve, { once: true }));
      recorder.stop();
      await stopped;
    }
    this.release();
    return new Blob(this.chunks, { type: recorder.mimeType });
  }

  /** Switches the microphone off. */
  release(): void {
    switchOff(this.stream);
    if (this.audio.state !== "closed") void this.audio.close();
  }
}

function switchOff(stream: MediaStream): void {
  for (const track of stream.getTracks()) track.stop();
}
