// Sound of one capture, encoded as Opus, 20 ms a packet.

import { TimeLine, pageClockUs } from "./batch.js";

/** @typedef {import("./batch.js").Batch} Batch */

const PACKET_US = 20_000;
/** Packets listened to until it is known how late they come; they are not sent. */
const SETTLES_PACKETS = 10;
const SILENT_LEVEL = 127;
/** How often the meter beside the button is told, in packets. */
const METER_PACKETS = 5;

export class AudioUplink {
  /**
   * @param {number} capture
   * @param {Batch} batch
   * @param {(level: number) => void} onLevel from 0, silent, to 1
   */
  constructor(capture, batch, onLevel) {
    this.capture = capture;
    this.batch = batch;
    this.onLevel = onLevel;
    this.paused = false;
    this.sampleRate = 48_000;
    this.packets = 0;
    this.line = new TimeLine(SETTLES_PACKETS);
    this.level = SILENT_LEVEL;
    this.loudest = SILENT_LEVEL;
    /** @type {Omit<AudioEncoderConfig, "sampleRate"> | null} */
    this.config = null;
    /** @type {AudioEncoder | null} */
    this.encoder = null;
    /** @type {MessagePort | null} */
    this.port = null;
    /** @type {ReadableStreamDefaultReader<AudioData> | null} */
    this.reader = null;
  }

  /**
   * @param {MessagePort} port brings the samples, 20 ms at a time
   * @param {number} rate
   */
  listen(port, rate) {
    this.#begin(rate);
    this.port = port;
    port.onmessage = ({ data }) => this.take(data);
  }

  /** @param {ReadableStream<AudioData>} readable */
  async read(readable) {
    this.#begin(this.sampleRate);
    const reader = readable.getReader();
    this.reader = reader;
    let samples = new Float32Array(0);
    let filled = 0;
    for (;;) {
      const { value: data, done } = await reader.read();
      if (done || this.reader !== reader) {
        data?.close();
        return;
      }
      if (data.sampleRate !== this.sampleRate || !samples.length) {
        this.sampleRate = data.sampleRate;
        this.#closeEncoder();
        samples = new Float32Array(Math.round(data.sampleRate / 50));
        filled = 0;
      }
      const plane = new Float32Array(data.numberOfFrames);
      data.copyTo(plane, { planeIndex: 0, format: "f32-planar" });
      data.close();
      for (let at = 0; at < plane.length; ) {
        const taken = Math.min(plane.length - at, samples.length - filled);
        samples.set(plane.subarray(at, at + taken), filled);
        filled += taken;
        at += taken;
        if (filled === samples.length) {
          this.take(samples);
          filled = 0;
        }
      }
    }
  }

  /** @param {Record<string, any>} header the core's command `encode` */
  encode({ bitrate_bps: bitrate, dtx }) {
    const config = { codec: "opus", numberOfChannels: 1, bitrate };
    const opus = { frameDuration: PACKET_US, application: "voip", signal: "voice", useinbandfec: true, packetlossperc: 5, usedtx: dtx };
    this.config = /** @type {any} */ ({ ...config, opus });
    this.#closeEncoder();
  }

  /** @param {boolean} paused */
  pause(paused) {
    this.paused = paused;
    if (!paused) return;
    // what the encoder still holds must not be heard when it goes on
    this.#closeEncoder();
    this.onLevel(0);
  }

  /** @param {Float32Array} samples */
  take(samples) {
    const atUs = this.packets * PACKET_US;
    this.packets += 1;
    // an encoder counts by itself: times that were moved need one that begins with the new ones
    if (this.line.note(atUs, pageClockUs() - PACKET_US)) this.#closeEncoder();
    if (this.paused) return;
    this.#measure(samples);
    if (!this.line.settled || !this.config || !this.batch.channel) return;
    const data = new AudioData({
      format: "f32-planar",
      sampleRate: this.sampleRate,
      numberOfFrames: samples.length,
      numberOfChannels: 1,
      timestamp: this.line.at(atUs),
      data: samples.slice(),
    });
    this.#ready(this.config).encode(data);
    data.close();
  }

  close() {
    this.#stop();
    this.onLevel(0);
  }

  /** @param {number} rate */
  #begin(rate) {
    this.#stop();
    this.sampleRate = rate;
    this.packets = 0;
    this.line = new TimeLine(SETTLES_PACKETS);
  }

  #stop() {
    this.port?.close();
    this.port = null;
    this.reader?.cancel();
    this.reader = null;
    this.#closeEncoder();
  }

  /** @param {Omit<AudioEncoderConfig, "sampleRate">} config */
  #ready(config) {
    if (this.encoder?.state === "configured") return this.encoder;
    const made = new AudioEncoder({ output: (chunk) => this.#send(made, chunk), error: () => this.#closeEncoder() });
    made.configure({ ...config, sampleRate: this.sampleRate });
    this.encoder = made;
    return made;
  }

  #closeEncoder() {
    if (this.encoder && this.encoder.state !== "closed") this.encoder.close();
    this.encoder = null;
  }

  /**
   * @param {AudioEncoder} encoder
   * @param {EncodedAudioChunk} chunk
   */
  #send(encoder, chunk) {
    if (encoder !== this.encoder || this.paused) return;
    const data = new Uint8Array(chunk.byteLength);
    chunk.copyTo(data);
    const timestamp = Math.max(0, Math.round(chunk.timestamp));
    this.batch.add({ capture: this.capture, rid: "", timestamp_us: timestamp, keyframe: false, audio_level: this.level }, data);
  }

  /**
   * The level in -dBov (RFC 6464), which the encoded packet does not have.
   * @param {Float32Array} samples
   */
  #measure(samples) {
    let sum = 0;
    for (const sample of samples) sum += sample * sample;
    const rms = Math.sqrt(sum / samples.length);
    this.level = rms > 0 ? Math.min(SILENT_LEVEL, Math.max(0, Math.round(-20 * Math.log10(rms)))) : SILENT_LEVEL;
    this.loudest = Math.min(this.loudest, this.level);
    if (this.packets % METER_PACKETS) return;
    // from -60 dB up is what a meter shows
    this.onLevel(Math.max(0, 1 - this.loudest / 60));
    this.loudest = SILENT_LEVEL;
  }
}
