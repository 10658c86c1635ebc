// One lane, from its websocket to the canvases. Runs in a Worker, where a page that renders a large table delays nothing.

import { codecString } from "./codec.js";
import { Gate } from "./gate.js";
import { decodeMessage, encodeMessage } from "./message.js";
import { Painter } from "./painter.js";

const PROTOCOL = "lknb.lane.1";
const TICKET_PREFIX = "lknb.ticket.";
const ACK_INTERVAL_MS = 40;
const PICTURE_INTERVAL_MS = 10_000;
/** Decoder faults in a row, without a picture between them, after which the codec itself is the problem. */
const FAULTS = 5;

export class Player {
  /** @param {(message: PlayerEvent) => void} tell */
  constructor(tell) {
    this.tell = tell;
    this.painter = new Painter();
    this.gate = new Gate();
    /** @type {WebSocket | null} */
    this.socket = null;
    /** @type {VideoDecoder | null} */
    this.decoder = null;
    this.decoderCodec = "";
    this.codec = "";
    this.state = "";
    this.faults = 0;
    this.handled = -1;
    this.acknowledged = -1;
    this.ackedAtMs = 0;
    this.ackTimer = 0;
    this.picturedAtMs = -Infinity;
    this.size = "";
    /** @type {string[]} */
    this.codecs = [];
    /** @type {Record<string, unknown>} */
    this.visible = { width: 0, height: 0, dpr: 1, visible: true };
  }

  /**
   * Open the lane. An earlier one is closed without a word.
   * @param {number} port
   * @param {string} ticket
   */
  open(port, ticket) {
    this.close();
    this.gate = new Gate();
    this.handled = this.acknowledged = -1;
    let opened = false;
    const socket = new WebSocket(`ws://127.0.0.1:${port}/`, [PROTOCOL, TICKET_PREFIX + ticket]);
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      opened = true;
      this.say({ type: "hello", codecs: this.codecs });
      this.say({ type: "visible", ...this.visible });
      this.become("waiting");
    };
    socket.onmessage = (event) => this.handle(event.data);
    socket.onclose = () => {
      this.shut();
      if (this.state !== "ended" && this.state !== "error") this.tell({ type: "closed", opened, port });
    };
  }

  /** Close the lane, without a word to the page; the last picture stays. */
  close() {
    if (this.socket) this.socket.onopen = this.socket.onmessage = this.socket.onclose = null;
    this.socket?.close();
    this.shut();
    this.state = "";
  }

  shut() {
    this.socket = null;
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
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(encodeMessage(header, buffers));
  }

  /**
   * @param {PlayerState} state
   * @param {string} [detail]
   */
  become(state, detail = "") {
    if (state === this.state) return;
    this.state = state;
    this.tell({ type: "state", state, detail });
  }

  /** @param {ArrayBuffer} data */
  handle(data) {
    const { header, buffers } = decodeMessage(data);
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
    this.become("ended");
    await this.sendPicture(true);
    this.socket?.close(1000);
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
      this.decoder.decode(new EncodedVideoChunk({ type: keyframe ? "key" : "delta", timestamp: sequence, data }));
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
    const codec = codecString(this.codec, keyframe);
    if (!codec) {
      this.gate.fail();
      return false;
    }
    if (this.decoder && this.decoderCodec === codec) return true;
    this.decoder?.close();
    const decoder = new VideoDecoder({
      output: (frame) => this.show(frame, decoder),
      error: (error) => this.fault(error, decoder),
    });
    decoder.configure({ codec, optimizeForLatency: true });
    this.decoder = decoder;
    this.decoderCodec = codec;
    return true;
  }

  /**
   * @param {VideoFrame} frame
   * @param {VideoDecoder} decoder
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
   * @param {VideoDecoder} decoder
   */
  fault(error, decoder) {
    if (decoder !== this.decoder) return;
    this.decoder = null;
    this.faults += 1;
    this.gate.fail();
    if (error.name === "NotSupportedError" || this.faults >= FAULTS) {
      this.become("error", `This browser cannot decode this ${this.codec.toUpperCase()} video: ${error.message}`);
      this.socket?.close();
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
