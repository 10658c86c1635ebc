// One video, from its lane to the canvases. Runs in a Worker, where a page that renders a large table delays nothing.

import { Channel } from "./channel.js";
import { codecString } from "./codec.js";
import { Gate } from "./gate.js";
import { Painter } from "./painter.js";
import { StillDecoder } from "./still.js";

const ACK_INTERVAL_MS = 40;
const PICTURE_INTERVAL_MS = 10_000;
/** After a change of lanes the last picture stays so long before the view says that it waits. */
const PATIENCE_MS = 2_000;
/** Decoder faults in a row, without a picture between them, after which the codec itself is the problem. */
const FAULTS = 5;

export class Player {
  /** @param {(message: PlayerEvent) => void} tell */
  constructor(tell) {
    this.tell = tell;
    this.painter = new Painter();
    this.gate = new Gate();
    /** @type {Channel | null} */
    this.channel = null;
    /** Not open yet. @type {Channel | null} */
    this.next = null;
    /** @type {VideoDecoder | StillDecoder | null} */
    this.decoder = null;
    this.decoderCodec = "";
    this.codec = "";
    this.state = "";
    this.faults = 0;
    this.handled = -1;
    this.acknowledged = -1;
    this.ackedAtMs = 0;
    this.ackTimer = 0;
    this.waitTimer = 0;
    this.picturedAtMs = -Infinity;
    this.size = "";
    /** @type {string[]} */
    this.codecs = [];
    /** @type {Record<string, unknown>} */
    this.visible = { width: 0, height: 0, dpr: 1, visible: true };
  }

  /**
   * Open a lane. The present one is used until the new one is open, and then closed without a word.
   * @param {import("./channel.js").Way} way
   */
  open(way) {
    this.next?.close();
    const channel = new Channel(way);
    this.next = channel;
    channel.onopen = () => this.take(channel);
    channel.onclose = (opened) => this.lose(channel, opened);
  }

  /** @param {Channel} channel */
  take(channel) {
    this.next = null;
    this.channel?.close();
    this.shut();
    this.channel = channel;
    this.gate = new Gate();
    this.handled = this.acknowledged = -1;
    channel.onmessage = (header, buffers) => this.handle(header, buffers);
    this.tell({ type: "opened", name: channel.name });
    this.say({ type: "hello", lane: channel.name, codecs: this.codecs });
    this.say({ type: "visible", ...this.visible });
    if (this.state === "playing") this.waitTimer = setTimeout(() => this.become("waiting"), PATIENCE_MS);
    else this.become("waiting");
  }

  /**
   * @param {Channel} channel
   * @param {boolean} opened
   */
  lose(channel, opened) {
    if (channel === this.next) this.next = null;
    if (channel === this.channel) this.shut();
    if (this.state !== "ended" && this.state !== "error") this.tell({ type: "closed", name: channel.name, opened });
  }

  /** Close the lane, without a word to the page; the last picture stays. */
  close() {
    this.next?.close();
    this.channel?.close();
    this.next = null;
    this.shut();
    this.state = this.size = "";
  }

  shut() {
    this.channel = null;
    clearTimeout(this.waitTimer);
    clearTimeout(this.ackTimer);
    this.ackTimer = 0;
    if (this.decoder && this.decoder.state !== "closed") this.decoder.close();
    this.decoder = null;
  }

  /** @param {Record<string, unknown>} visible */
  see(visible) {
    this.visible = visible;
    this.say({ type: "visible", ...visible });
  }

  /**
   * Send the last picture for the saved notebook, if it was not sent yet.
   * @param {boolean} unseen whether nobody looks at the page
   */
  async sendPicture(unseen) {
    const taken = await this.painter.picture();
    if (taken) this.say({ type: "picture", width: taken.width, height: taken.height, unseen }, [taken.png]);
  }

  /**
   * @param {Record<string, unknown>} header
   * @param {Uint8Array[]} [buffers]
   */
  say(header, buffers) {
    this.channel?.send(header, buffers);
  }

  /**
   * @param {PlayerState} state
   * @param {string} [detail]
   */
  become(state, detail = "") {
    clearTimeout(this.waitTimer);
    if (state === this.state) return;
    this.state = state;
    this.tell({ type: "state", state, detail });
  }

  /**
   * @param {Record<string, any>} header
   * @param {Uint8Array[]} buffers
   */
  handle(header, buffers) {
    if (header.type === "chunk") this.receive(header, buffers[0]);
    else if (header.type === "config") this.codec = header.codec;
    else if (header.type === "muted") this.mute(header.muted);
    else if (header.type === "ended") this.end();
  }

  /** @param {boolean} muted */
  mute(muted) {
    if (muted) this.painter.clear();
    this.become(muted ? "muted" : "waiting");
  }

  async end() {
    const { channel } = this;
    this.become("ended");
    await this.sendPicture(true);
    // another one may have been opened meanwhile
    channel?.close();
  }

  /**
   * @param {Record<string, any>} header
   * @param {Uint8Array} data
   */
  receive({ sequence, keyframe }, data) {
    let admitted = this.gate.admits(sequence, keyframe, this.decoder?.decodeQueueSize ?? 0);
    if (admitted && keyframe) admitted = this.configure(data);
    if (admitted && this.decoder) {
      // the decoder hands the timestamp back with the picture: it carries what is to be acknowledged
      if (this.decoder instanceof StillDecoder) this.decoder.decode({ timestamp: sequence, data });
      else this.decoder.decode(new EncodedVideoChunk({ type: keyframe ? "key" : "delta", timestamp: sequence, data }));
    } else {
      this.done(sequence);
    }
    if (this.gate.asks(performance.now())) this.say({ type: "keyframe" });
  }

  /**
   * Have a decoder for this key frame. False when it cannot be decoded.
   * @param {Uint8Array} keyframe
   */
  configure(keyframe) {
    // frames of a codec this browser has not may come before the core has heard what it has
    const codec = this.codecs.includes(this.codec) ? codecString(this.codec, keyframe) : null;
    if (!codec) {
      this.gate.fail();
      return false;
    }
    if (this.decoder && this.decoderCodec === codec) return true;
    this.decoder?.close();
    this.decoder = codec === "jpeg" ? this.openStills() : this.openVideo(codec);
    this.decoderCodec = codec;
    this.tell({ type: "codec", codec: this.codec });
    return true;
  }

  /** @param {string} codec */
  openVideo(codec) {
    const decoder = new VideoDecoder({
      output: (frame) => this.show(frame, decoder),
      error: (error) => this.fault(error, decoder),
    });
    decoder.configure({ codec, optimizeForLatency: true });
    return decoder;
  }

  openStills() {
    /** @type {StillDecoder} */
    const decoder = new StillDecoder({
      output: (frame) => this.show(frame, decoder),
      error: (error) => this.fault(error, decoder),
    });
    return decoder;
  }

  /**
   * @param {import("./painter.js").Picture} frame
   * @param {VideoDecoder | StillDecoder} decoder
   */
  show(frame, decoder) {
    if (decoder !== this.decoder) {
      frame.close();
      return;
    }
    this.faults = 0;
    this.done(frame.timestamp);
    if (this.state === "muted" || this.state === "ended") {
      // it was on its way when the track was muted, and is not to be seen any more
      frame.close();
      return;
    }
    this.painter.paint(frame);
    const size = `${frame.displayWidth}x${frame.displayHeight}`;
    if (size !== this.size) {
      this.size = size;
      this.tell({ type: "size", width: frame.displayWidth, height: frame.displayHeight });
    }
    this.become("playing");
    if (performance.now() - this.picturedAtMs >= PICTURE_INTERVAL_MS) {
      this.picturedAtMs = performance.now();
      this.sendPicture(false);
    }
  }

  /**
   * @param {DOMException} error
   * @param {VideoDecoder | StillDecoder} decoder
   */
  fault(error, decoder) {
    if (decoder !== this.decoder) return;
    this.decoder = null;
    this.faults += 1;
    this.gate.fail();
    if (error.name === "NotSupportedError" || this.faults >= FAULTS) {
      this.become("error", `This browser cannot decode this ${this.codec.toUpperCase()} video: ${error.message}`);
      this.channel?.close();
      return;
    }
    // everything so far is given up, and counts as handled
    this.done(this.gate.nextSequence - 1);
    if (this.gate.asks(performance.now())) this.say({ type: "keyframe" });
  }

  /** @param {number} sequence */
  done(sequence) {
    this.handled = Math.max(this.handled, sequence);
    const waitMs = this.ackedAtMs + ACK_INTERVAL_MS - performance.now();
    if (waitMs <= 0) this.acknowledge();
    else if (!this.ackTimer) this.ackTimer = setTimeout(() => this.acknowledge(), waitMs);
  }

  acknowledge() {
    clearTimeout(this.ackTimer);
    this.ackTimer = 0;
    if (this.handled === this.acknowledged) return;
    this.acknowledged = this.handled;
    this.ackedAtMs = performance.now();
    this.say({ type: "ack", sequence: this.handled });
  }
}
