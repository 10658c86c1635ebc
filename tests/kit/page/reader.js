// What is decoded and heard of one subscribed track, from one `trackSubscribed` event on.

// A stream that is muted or unsubscribed ends with black 8x8 key frames of the server's making.
const CLOSING_FRAME_SIDE = 16;

/**
 * The codec and SSRC a track is really received with, from its stats.
 * @param {import("livekit-client").RemoteTrack} track
 */
async function inboundCodec(track) {
  const stats = await track.receiver?.getStats();
  for (const stat of stats?.values() ?? []) {
    if (stat.type !== "inbound-rtp") continue;
    const codec = (stats?.get(stat.codecId)?.mimeType ?? "").split("/").pop().toLowerCase();
    return { codec, ssrc: stat.ssrc };
  }
  return { codec: "", ssrc: 0 };
}

export class VideoReader {
  /** @param {import("livekit-client").RemoteTrack} track @param {number} subscription */
  constructor(track, subscription) {
    this.track = track;
    this.subscription = subscription;
    this.frames = 0;
    this.closingFrames = 0;
    this.width = 0;
    this.height = 0;
    this.colour = [0, 0, 0];
    this.canvas = new OffscreenCanvas(16, 16);
    /** @type {((height: number) => void) | undefined} */
    this.onpicture = undefined;
    this.element = /** @type {HTMLVideoElement} */ (track.attach());
    this.element.style.width = "320px";
    document.body.append(this.element);
    this.#next();
  }

  #next() {
    this.element.requestVideoFrameCallback((_now, frame) => {
      this.#see(frame.width, frame.height);
      this.#next();
    });
  }

  /** @param {number} width @param {number} height */
  #see(width, height) {
    if (width <= CLOSING_FRAME_SIDE) {
      this.closingFrames += 1;
      return;
    }
    this.frames += 1;
    this.width = width;
    this.height = height;
    this.onpicture?.(height);
    const context = this.canvas.getContext("2d", { willReadFrequently: true });
    if (!context) throw new Error("no 2d canvas");
    // the middle half of the picture, as the other peers measure it
    context.drawImage(this.element, width / 4, height / 4, width / 2, height / 2, 0, 0, 16, 16);
    const { data } = context.getImageData(0, 0, 16, 16);
    const sum = [0, 0, 0];
    for (let index = 0; index < data.length; index += 4) {
      for (let channel = 0; channel < 3; channel += 1) sum[channel] += data[index + channel];
    }
    this.colour = sum.map((value) => Math.round(value / (data.length / 4)));
  }

  /**
   * The moment the next picture of this height is shown.
   * @param {number} height @param {number} deadlineMs
   * @returns {Promise<number>}
   */
  pictureOf(height, deadlineMs) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no ${height}p, still ${this.height}p`)), deadlineMs);
      this.onpicture = (seen) => {
        if (seen !== height) return;
        clearTimeout(timer);
        this.onpicture = undefined;
        resolve(performance.now());
      };
    });
  }

  async report() {
    return {
      subscription: this.subscription, frames: this.frames, closing_frames: this.closingFrames, width: this.width,
      height: this.height, colour: this.colour, ...(await inboundCodec(this.track)),
    };
  }

  close() {
    this.track.detach(this.element);
    this.element.remove();
  }
}

export class AudioReader {
  /** @param {import("livekit-client").RemoteTrack} track @param {number} subscription */
  constructor(track, subscription) {
    this.track = track;
    this.subscription = subscription;
    // Chromium lets remote audio into WebAudio only while an element plays it
    this.element = track.attach();
    this.element.muted = true;
    document.body.append(this.element);
    this.context = new AudioContext({ sampleRate: 48000 });
    this.analyser = new AnalyserNode(this.context, { fftSize: 16384, smoothingTimeConstant: 0 });
    this.context.createMediaStreamSource(new MediaStream([track.mediaStreamTrack])).connect(this.analyser);
  }

  async report() {
    const spectrum = new Float32Array(this.analyser.frequencyBinCount);
    this.analyser.getFloatFrequencyData(spectrum);
    const samples = new Float32Array(this.analyser.fftSize);
    this.analyser.getFloatTimeDomainData(samples);
    const level = Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
    const stats = await this.track.receiver?.getStats();
    const inbound = Array.from(stats?.values() ?? []).find((stat) => stat.type === "inbound-rtp");
    return {
      subscription: this.subscription,
      frames: Math.floor((inbound?.totalSamplesReceived ?? 0) / 480),
      peak_hz: level > 0 ? (spectrum.indexOf(Math.max(...spectrum)) * 48000) / this.analyser.fftSize : 0,
      level,
      ...(await inboundCodec(this.track)),
    };
  }

  close() {
    this.track.detach(this.element);
    this.element.remove();
    void this.context.close();
  }
}
