// Sound of one capture, encoded as Opus, 20 ms a packet.

import { TimeLine, pageClockUs } from "./batch.js";

/** @typedef {import("./batch.js").Batch} Batch */

const PACKET_US = 20_000;
/** Packets listened to until it is known how late they come; they are not sent. */
const SETTLES_PACKETS = 10;
const SILENT_LEVEL = 127;
/** Silence for so long ends the transmission, but for one packet in so many: as in lknb/codec/audio_encoder.py. */
const QUIET_LEVEL = 70;
const QUIET_PACKETS_BEFORE = 10;
const QUIET_PACKETS_EACH = 20;
/** What an encoder keeps back, at most: one that gives nothing any more is replaced. */
const ENCODING_PACKETS = 50;
/** How often the meter beside the button is told, in packets. */
const METER_PACKETS = 5;

/** A packet in the encoder; of one in a `pause` only the first is sent, without its sound. @typedef {{ timestampUs: number, level: number, pause: number }} Packet */

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
    this.lastUs = -Infinity;
    this.dtx = false;
    this.quietPackets = 0;
    /** What the encoder has, oldest first: it gives one packet for each. @type {Packet[]} */
    this.encoding = [];
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
    // The encoder's own DTX gives nothing for silence, and no hint what the packet after it belongs to: Chromium numbers
    // those it gives as if none were missing, and sound would fall behind the picture with every pause.
    const opus = { frameDuration: PACKET_US, application: "voip", signal: "voice", useinbandfec: true, packetlossperc: 5, usedtx: false };
    this.dtx = dtx;
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
    this.line.note(atUs, pageClockUs() - PACKET_US);
    if (this.paused) return;
    this.#measure(samples);
    if (!this.line.settled || !this.config || !this.batch.channel) return;
    const timestampUs = this.line.at(atUs);
    // the line was moved back: there is sound at this time already
    if (timestampUs < this.lastUs + PACKET_US / 2) return;
    this.lastUs = timestampUs;
    const data = new AudioData({
      format: "f32-planar",
      sampleRate: this.sampleRate,
      numberOfFrames: samples.length,
      numberOfChannels: 1,
      timestamp: timestampUs,
      data: samples.slice(),
    });
    if (this.encoding.length >= ENCODING_PACKETS) this.#closeEncoder();
    const encoder = this.#ready(this.config);
    this.encoding.push({ timestampUs, level: this.level, pause: this.#pause() });
    encoder.encode(data);
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
    this.encoding = [];
  }

  /** The place of a packet of this level in a pause: 0 when it is to be sent, 1 for the first that is not. */
  #pause() {
    this.quietPackets = this.dtx && this.level >= QUIET_LEVEL ? this.quietPackets + 1 : 0;
    return Math.max(0, this.quietPackets - QUIET_PACKETS_BEFORE) % QUIET_PACKETS_EACH;
  }

  /**
   * @param {AudioEncoder} encoder
   * @param {EncodedAudioChunk} chunk
   */
  #send(encoder, chunk) {
    if (encoder !== this.encoder || this.paused) return;
    const packet = this.encoding.shift();
    if (!packet || packet.pause > 1) return;
    let data = new Uint8Array(chunk.byteLength);
    chunk.copyTo(data);
    // a packet that holds one frame of no bytes announces the pause (RFC 6716 section 3.2.1): it is then not taken for loss
    if (packet.pause) data = Uint8Array.of(data[0] & ~3);
    const header = { capture: this.capture, rid: "", timestamp_us: packet.timestampUs, keyframe: false, audio_level: packet.level };
    this.batch.add(header, data);
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
