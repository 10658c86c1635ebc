// Pictures of one capture, encoded in all their layers.

import { BATCH_BYTES, TimeLine, pageClockUs } from "./batch.js";
import { EncoderPace } from "./encoder_pace.js";

/** @typedef {import("./batch.js").Batch} Batch */
/**
 * @typedef {object} UplinkLayer
 * @property {string} rid
 * @property {number} ratioX of the largest layer's width
 * @property {number} ratioY
 * @property {number} fps
 * @property {number} bitrate of which the encoder knows
 * @property {number} wantedBitrate 0 while the layer is not wanted
 * @property {boolean} keyframe whether the next frame is to be one
 * @property {boolean} behind whether the encoder has not had the last picture
 * @property {number} dueUs
 * @property {number} failures of its encoders in a row, without a picture between
 * @property {number} restUntilUs
 * @property {EncoderPace} pace of its encoder
 * @property {number} width as configured
 * @property {number} height
 * @property {VideoEncoder | null} encoder
 */

/** A picture that a layer still needs is encoded when no other has followed for so long: of a screen that stands still. */
const REPEAT_AFTER_MS = 200;
/** So many encoders of a layer may fail in a row. The GPU may be gone for a moment, so they are made at least this far apart. */
const ENCODER_FAILURES = 3;
const ENCODER_RESTS_US = 1_000_000;
/** An encoder is tried with so many pictures, and has so long for the first. */
const PROMPT_PICTURES = 4;
const PROMPT_MS = 1_000;
/** H264 levels by the size of the picture in macroblocks (H.264 table A-1), constrained baseline. */
const H264_LEVELS = [
  { blocks: 3_600, name: "1F" },
  { blocks: 8_192, name: "28" },
  { blocks: 22_080, name: "32" },
  { blocks: Infinity, name: "33" },
];

export class VideoUplink {
  /**
   * @param {number} capture
   * @param {Batch} batch
   * @param {(codec: string) => void} giveUp it is closed then: its encoders fail for good
   */
  constructor(capture, batch, giveUp = () => {}) {
    this.giveUp = giveUp;
    this.capture = capture;
    this.batch = batch;
    this.codec = "";
    this.paused = false;
    this.size = "";
    this.line = new TimeLine(8);
    /** @type {UplinkLayer[]} */
    this.layers = [];
    /** @type {ReadableStreamDefaultReader<VideoFrame> | null} */
    this.reader = null;
    /** With the page's time. @type {VideoFrame | null} */
    this.last = null;
    this.repeatTimer = 0;
  }

  /** @param {ReadableStream<VideoFrame>} readable frames of the device, which may be another one than before */
  async read(readable) {
    this.restart();
    const reader = readable.getReader();
    this.reader = reader;
    for (;;) {
      const { value: frame, done } = await reader.read();
      if (done || this.reader !== reader) {
        frame?.close();
        if (this.reader === reader) this.#keep(null);
        return;
      }
      this.take(frame);
    }
  }

  /** The device is another one, or is let go of: what it showed is forgotten. */
  restart() {
    this.reader?.cancel();
    this.reader = null;
    this.#keep(null);
    this.line = new TimeLine(8);
    this.refresh("");
  }

  /** @param {Record<string, any>} header the core's command `encode` */
  encode({ codec, layers }) {
    const top = layers[layers.length - 1];
    const same = codec === this.codec && JSON.stringify(layers.map((/** @type {any} */ it) => it.rid)) === JSON.stringify(this.layers.map((it) => it.rid));
    if (!same) {
      this.#closeEncoders();
      this.codec = codec;
      this.layers = layers.map((/** @type {any} */ it) => ({
        rid: it.rid,
        ratioX: it.width / top.width,
        ratioY: it.height / top.height,
        fps: it.fps,
        bitrate: 0,
        wantedBitrate: it.bitrate_bps,
        keyframe: true,
        behind: true,
        dueUs: 0,
        failures: 0,
        restUntilUs: 0,
        pace: new EncoderPace(),
        width: 0,
        height: 0,
        encoder: null,
      }));
    }
    this.refresh("");
  }

  /** @param {{ rid: string, bitrate_bps: number }[]} wanted */
  want(wanted) {
    for (const layer of this.layers) {
      const bitrate = wanted.find(({ rid }) => rid === layer.rid)?.bitrate_bps ?? 0;
      if (!layer.wantedBitrate && bitrate) layer.keyframe = true;
      layer.wantedBitrate = bitrate;
    }
    this.#repeatSoon();
  }

  /** @param {string} rid a layer that needs a key frame; all of them when empty */
  refresh(rid) {
    for (const layer of this.layers) layer.keyframe ||= !rid || rid === layer.rid;
    this.#repeatSoon();
  }

  /** @param {boolean} paused */
  pause(paused) {
    this.paused = paused;
    if (!paused) this.refresh("");
  }

  /** @param {VideoFrame} frame */
  take(frame) {
    this.line.note(frame.timestamp, pageClockUs());
    // the encoder hands the timestamp back, and with it the time of capture
    this.#keep(new VideoFrame(frame, { timestamp: this.line.at(frame.timestamp) }));
    frame.close();
    for (const layer of this.layers) layer.behind = true;
    this.#offer();
  }

  close() {
    this.restart();
    this.#closeEncoders();
    this.layers = [];
  }

  /** @param {VideoFrame | null} frame the last picture from now on */
  #keep(frame) {
    clearTimeout(this.repeatTimer);
    this.repeatTimer = 0;
    this.last?.close();
    this.last = frame;
  }

  /** Encode the last picture in those layers that need it. */
  #offer(layers = this.layers) {
    const { last } = this;
    if (!last || this.paused) return;
    if (!this.batch.isBehind()) layers.forEach((layer) => this.#encode(layer, last));
    this.#repeatSoon();
  }

  #repeatSoon() {
    if (this.repeatTimer || !this.last || this.paused || !this.layers.some(needsPicture)) return;
    this.repeatTimer = setTimeout(() => {
      if (!this.last) return;
      this.#keep(new VideoFrame(this.last, { timestamp: this.line.at(pageClockUs() - this.line.offsetUs) }));
      this.#offer();
    }, REPEAT_AFTER_MS);
  }

  #closeEncoders() {
    this.layers.forEach(({ encoder }) => encoder?.state !== "closed" && encoder?.close());
  }

  /**
   * @param {UplinkLayer} layer
   * @param {VideoFrame} frame
   */
  #encode(layer, frame) {
    const periodUs = 1e6 / layer.fps;
    // encodeQueueSize does not count those that Chromium has handed on to its encoder, which are several
    if (!needsPicture(layer) || !layer.pace.takes(pageClockUs()) || frame.timestamp < layer.restUntilUs) return;
    // pictures come with jitter: one that is a little early for its layer is on time
    if (frame.timestamp < layer.dueUs - periodUs / 8 && !layer.keyframe) return;
    layer.dueUs = Math.max(layer.dueUs, frame.timestamp - periodUs) + periodUs;
    const width = Math.max(2, Math.round((frame.displayWidth * layer.ratioX) / 2) * 2);
    const height = Math.max(2, Math.round((frame.displayHeight * layer.ratioY) / 2) * 2);
    const encoder = this.#configured(layer, width, height);
    const keyFrame = layer.keyframe;
    layer.keyframe = layer.behind = false;
    layer.pace.give(frame.timestamp, pageClockUs());
    encoder.encode(frame, { keyFrame });
  }

  /**
   * The encoder of a layer, set to this size and the bitrate wanted now.
   * @param {UplinkLayer} layer
   * @param {number} width
   * @param {number} height
   */
  #configured(layer, width, height) {
    const resized = layer.width !== width || layer.height !== height;
    let { encoder } = layer;
    if (!encoder || encoder.state === "closed") {
      const made = new VideoEncoder({
        output: (chunk) => this.#send(layer, made, chunk),
        error: () => this.#replace(layer, made),
      });
      encoder = layer.encoder = made;
      layer.bitrate = 0;
    }
    if (resized || layer.bitrate !== layer.wantedBitrate) {
      encoder.configure(videoConfig(this.codec, width, height, layer.wantedBitrate, layer.fps));
      layer.keyframe ||= resized;
      Object.assign(layer, { width, height, bitrate: layer.wantedBitrate });
    }
    return encoder;
  }

  /**
   * An encoder failed: a picture soon gets a new one.
   * @param {UplinkLayer} layer
   * @param {VideoEncoder} encoder
   */
  #replace(layer, encoder) {
    if (encoder !== layer.encoder || !this.layers.includes(layer)) return;
    layer.keyframe = true;
    layer.pace = new EncoderPace();
    layer.failures += 1;
    layer.restUntilUs = layer.failures > 1 ? pageClockUs() + ENCODER_RESTS_US : 0;
    if (layer.failures < ENCODER_FAILURES) {
      this.#repeatSoon();
      return;
    }
    this.close();
    this.giveUp(this.codec);
  }

  /**
   * @param {UplinkLayer} layer
   * @param {VideoEncoder} encoder
   * @param {EncodedVideoChunk} chunk
   */
  #send(layer, encoder, chunk) {
    if (encoder !== layer.encoder) return;
    layer.failures = 0;
    layer.pace.come(chunk.timestamp, pageClockUs());
    if (this.paused) return;
    if (chunk.byteLength > BATCH_BYTES) layer.keyframe = true;
    else this.#pass(layer, chunk);
    // the newest of those that came meanwhile
    if (layer.behind) this.#offer([layer]);
  }

  /**
   * @param {UplinkLayer} layer
   * @param {EncodedVideoChunk} chunk
   */
  #pass(layer, chunk) {
    const data = new Uint8Array(chunk.byteLength);
    chunk.copyTo(data);
    const keyframe = chunk.type === "key";
    const size = keyframe ? { width: layer.width, height: layer.height } : {};
    this.batch.add({ capture: this.capture, rid: layer.rid, timestamp_us: chunk.timestamp, keyframe, ...size }, data);
  }
}

/** @param {UplinkLayer} layer */
function needsPicture(layer) {
  return layer.wantedBitrate > 0 && (layer.keyframe || layer.behind);
}

/**
 * @param {string} codec "h264" or "vp8"
 * @param {number} width
 * @param {number} height
 * @param {number} bitrate
 * @param {number} framerate
 * @returns {VideoEncoderConfig}
 */
export function videoConfig(codec, width, height, bitrate, framerate) {
  /** @type {VideoEncoderConfig} */
  const config = { codec, width, height, bitrate, framerate, latencyMode: "realtime", bitrateMode: "variable" };
  if (codec !== "h264") return config;
  const blocks = Math.ceil(width / 16) * Math.ceil(height / 16);
  const level = H264_LEVELS.find((it) => blocks <= it.blocks)?.name;
  return { ...config, codec: `avc1.42E0${level}`, avc: { format: "annexb" } };
}

/**
 * Which of our codecs this browser encodes.
 * @returns {Promise<string[]>}
 */
export async function encodableCodecs() {
  const video = ["h264", "vp8"];
  const answers = await Promise.all([
    ...video.map(async (codec) => {
      const config = videoConfig(codec, 1280, 720, 1_700_000, 30);
      return (await ask(() => VideoEncoder.isConfigSupported(config))) && isPrompt(videoConfig(codec, 320, 180, 200_000, 30));
    }),
    ask(() => AudioEncoder.isConfigSupported({ codec: "opus", sampleRate: 48_000, numberOfChannels: 1, bitrate: 24_000 })),
  ]);
  return [...video, "opus"].filter((_, index) => answers[index]);
}

/**
 * Whether an encoder gives pictures back before it has many more: Firefox's H264 on Linux gathers 1.4 s of them first, and
 * keeps to the first bitrate. One that has had no time yet is believed.
 * @param {VideoEncoderConfig} config
 * @returns {Promise<boolean>}
 */
function isPrompt(config) {
  const { width, height } = config;
  return new Promise((resolve) => {
    const encoder = new VideoEncoder({ output: () => end(true), error: () => end(false) });
    const timer = setTimeout(() => end(encoder.encodeQueueSize > 0), PROMPT_MS);
    const end = (/** @type {boolean} */ prompt) => {
      clearTimeout(timer);
      if (encoder.state !== "closed") encoder.close();
      resolve(prompt);
    };
    encoder.configure(config);
    const grey = new Uint8Array((width * height * 3) / 2).fill(128);
    for (let n = 0; n < PROMPT_PICTURES; n += 1) {
      const frame = new VideoFrame(grey, { format: "I420", codedWidth: width, codedHeight: height, timestamp: n * 33_333 });
      encoder.encode(frame, { keyFrame: n === 0 });
      frame.close();
    }
  });
}

/** @param {() => Promise<{ supported?: boolean }>} isSupported */
async function ask(isSupported) {
  try {
    return !!(await isSupported()).supported;
  } catch {
    // a browser that has no such encoder at all, or does not know a setting
    return false;
  }
}
