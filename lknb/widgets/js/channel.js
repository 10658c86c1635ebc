// One open lane in a Worker, whatever carries it: a websocket, or the page, which passes messages on to the widget's comm.

import { decodeMessage, encodeMessage } from "./message.js";

/**
 * What the page hands to the Worker so that it can open a lane.
 * @typedef {{ name: "direct" | "proxy", url: string, ticket: string } | { name: "comm", port: MessagePort }} Way
 */

const PROTOCOL = "lknb.lane.1";
const TICKET_PREFIX = "lknb.ticket.";
/** A proxy may take a websocket and lead nowhere. */
const OPEN_WITHIN_MS = 4_000;

export class Channel {
  /**
   * `onopen` comes when the core is there, `onclose(opened)` once, unless `close()` was called before.
   * @param {Way} way
   */
  constructor(way) {
    this.name = way.name;
    this.opened = false;
    this.closed = false;
    /** @type {WebSocket | null} */
    this.socket = null;
    /** @type {() => void} */
    this.onopen = () => {};
    /** @type {(header: Record<string, any>, buffers: Uint8Array[]) => void} */
    this.onmessage = () => {};
    /** @type {(opened: boolean) => void} */
    this.onclose = () => {};
    this.timer = setTimeout(() => this.#lose(), OPEN_WITHIN_MS);
    const hear = (/** @type {MessageEvent} */ { data }) => (data ? this.#hear(data) : this.#lose());
    if (way.name === "comm") {
      const port = way.port;
      port.onmessage = hear;
      /** @type {(message: ArrayBuffer, patient: boolean) => void} */
      this.write = (message, patient) => port.postMessage({ message, patient }, [message]);
      this.shut = () => port.postMessage(null);
      // the core says nothing over the comm before it has heard the page
      queueMicrotask(() => this.#open());
    } else {
      const socket = new WebSocket(way.url, [PROTOCOL, TICKET_PREFIX + way.ticket]);
      this.socket = socket;
      socket.binaryType = "arraybuffer";
      socket.onmessage = hear;
      socket.onclose = () => this.#lose();
      this.write = (message) => socket.send(message);
      this.shut = () => socket.close(1000);
    }
  }

  /**
   * Nothing happens when the lane is not open.
   * @param {Record<string, unknown>} header
   * @param {Uint8Array[]} [buffers]
   */
  send(header, buffers) {
    // the newest acknowledgement says all that those before it said
    if (this.opened && !this.closed) this.write(encodeMessage(header, buffers), header.type === "ack");
  }

  /** How much of what was sent is still in this page; of a comm nobody knows. */
  get waitingBytes() {
    return this.socket?.bufferedAmount ?? 0;
  }

  /** Close it without a word. */
  close() {
    if (this.closed) return;
    this.closed = true;
    clearTimeout(this.timer);
    this.shut();
  }

  #open() {
    if (this.opened || this.closed) return;
    this.opened = true;
    clearTimeout(this.timer);
    this.onopen();
  }

  #lose() {
    if (this.closed) return;
    this.close();
    this.onclose(this.opened);
  }

  /** @param {ArrayBuffer} data */
  #hear(data) {
    if (this.closed) return;
    const { header, buffers } = decodeMessage(data);
    if (header.type === "open") this.#open();
    else if (header.type === "ping") this.send({ type: "pong" });
    else this.onmessage(header, buffers);
  }
}
