// Gets one widget of this page a lane to the room core, and another one when it dies: asks the kernel for tickets, chooses by
// trying, best first, and carries the messages of a lane over the comm.

import { findBaseUrl, findWebsockets } from "./host.js";
import { Uplink } from "./uplink.js";

/** @typedef {import("./channel.js").Way} Way */

/** The kernel may be busy, and an old one answers only when its cell has ended. */
const BUSY_AFTER_MS = 2_500;
/** JupyterLab sends the first message of the first widget where cells run, and later ones past them: so it is worth a second try. */
const HELLO_AGAIN_MS = 1_500;
const HELLO_SELDOM_MS = 24_000;
/** A way that failed is not tried again for so long, doubled with each failure. */
const REST_MS = 30_000;
const LONGEST_REST_MS = 600_000;
/** A lane that closes sooner than this, several times in a row, is one that failed. */
const LASTING_MS = 5_000;
const SHORT_LIVES = 3;
/** Between tries when there is nothing else to do. */
const AGAIN_MS = 1_000;

/** Ways that failed in this page, by name and port. @type {Map<string, { failures: number, restsUntilMs: number }>} */
const failed = new Map();
/** By what a kernel calls itself. @type {Map<string, Uplink>} */
const uplinks = new Map();
/** The page's end of each comm lane. @type {Map<string, { port: MessagePort, uplink: Uplink }>} */
const relays = new Map();

/**
 * What the dialer tells the one it dials for.
 * @typedef {object} Listener
 * @property {(way: Way, transfer: Transferable[]) => void} open have a `Channel` opened this way. One that is open stays until the
 *   new one is; then it is closed. `opened`, `closed` are to be called as the channel says so.
 * @property {(detail: string) => void} wait there is no lane for the moment
 * @property {(detail: string) => void} end there is nothing to open a lane for any more
 * @property {(obstacle: import("./host.js").Obstacle) => void} fail there will be none until `start` is called again
 * @property {() => void} lose the kernel is another one now
 */

export class Dialer {
  /**
   * @param {WidgetModel} model
   * @param {Listener} listener
   */
  constructor(model, listener) {
    this.model = model;
    this.listener = listener;
    // crypto.randomUUID exists on secure pages only
    this.client = Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(16)).join("-");
    this.baseUrl = findBaseUrl(document, location.pathname);
    this.hellos = 0;
    /** The lane in use. @type {LaneName | ""} */
    this.lane = "";
    this.openedAtMs = 0;
    this.shortLives = 0;
    /** The one being tried. @type {LaneName | ""} */
    this.trying = "";
    this.port = 0;
    /** Comm lanes of ours that the kernel knows. @type {Set<string>} */
    this.comms = new Set();
    /** @type {Record<string, number>} */
    this.timers = {};
    this.onMessage = (/** @type {any} */ content, /** @type {DataView[]} */ buffers) => this.#receive(content, buffers);
    this.onLeave = () => this.#leave();
    model.on("msg:custom", this.onMessage);
    window.addEventListener("pagehide", this.onLeave);
  }

  /** Begin anew. */
  start() {
    this.stop();
    this.listener.wait("");
    this.#hello();
  }

  /** No lane is wanted. The one that asked closes its channel. */
  stop() {
    Object.keys(this.timers).forEach((name) => this.#clearTimer(name));
    this.hellos += 1;
    this.lane = this.trying = "";
    this.#leave();
  }

  /** The widget is gone. */
  dispose() {
    this.stop();
    this.model.off("msg:custom", this.onMessage);
    window.removeEventListener("pagehide", this.onLeave);
  }

  /**
   * A word to the kernel. False when its comm refuses: the kernel was restarted.
   * @param {Record<string, unknown>} content
   * @param {ArrayBuffer[]} [buffers]
   */
  send(content, buffers) {
    try {
      this.model.send({ ...content, client: this.client }, undefined, buffers);
      return true;
    } catch {
      return false;
    }
  }

  /**
   * A channel is open.
   * @param {LaneName} name
   */
  opened(name) {
    this.#leave(name === "comm" ? [...this.comms].at(-1) : "");
    this.lane = name;
    this.trying = "";
    this.openedAtMs = performance.now();
    this.#considerBetter();
  }

  /**
   * A channel is closed that was not told to.
   * @param {LaneName} name
   * @param {boolean} opened
   */
  closed(name, opened) {
    const lasted = opened && performance.now() - this.openedAtMs >= LASTING_MS;
    if (opened) this.shortLives = lasted ? 0 : this.shortLives + 1;
    if (lasted) failed.delete(name + this.port);
    else if (!opened || this.shortLives >= SHORT_LIVES) this.#rest(name);
    if (opened) this.lane = "";
    else this.trying = "";
    if (this.lane) this.#considerBetter();
    // while a better one is being tried that decides
    else if (this.trying) return;
    else if (lasted || !opened || name !== "comm") this.#hello();
    else this.#setTimer("again", AGAIN_MS, () => this.#hello());
  }

  /**
   * @param {boolean} [byComm]
   * @param {number} [againMs]
   */
  #hello(byComm = false, againMs = HELLO_AGAIN_MS) {
    this.hellos += 1;
    const viaComm = byComm || !findWebsockets(location, this.baseUrl, 0).length;
    if (!this.lane && !("busy" in this.timers)) {
      this.#setTimer("busy", BUSY_AFTER_MS, () => this.listener.wait("The kernel is busy; it answers when it can."));
    }
    this.#setTimer("again", againMs, () => this.#hello(byComm, Math.min(HELLO_SELDOM_MS, 2 * againMs)));
    const hello = { type: "hello", hello: this.hellos, origin: location.origin, ...(viaComm ? { lane: "comm" } : {}) };
    if (!this.send(hello)) this.listener.lose();
  }

  /**
   * @param {any} content
   * @param {DataView[]} buffers
   */
  #receive(content, buffers) {
    if (content?.type === "closed") relays.get(content.lane)?.port.postMessage(null);
    // each page gets the answers to all of them
    if (content?.client !== this.client) return;
    if (content.type === "down") this.#bringDown(content.lane, buffers);
    if (content.hello !== this.hellos) {
      // of an earlier try, which nobody wants any more
      if (content.type === "comm") this.send({ type: "bye", lane: content.lane });
      return;
    }
    this.#clearTimer("busy");
    this.#clearTimer("again");
    if (content.type === "ticket") this.#openWebsocket(content.port, content.ticket);
    else if (content.type === "comm") this.#openComm(content.lane, content.kernel);
    else if (this.lane) this.#stay();
    else if (content.type === "ended") this.listener.end(content.detail);
    else if (content.type === "refused") this.listener.fail({ title: "", detail: content.detail });
  }

  /**
   * @param {number} port
   * @param {string} ticket
   */
  #openWebsocket(port, ticket) {
    this.port = port;
    const [way] = this.#better();
    if (way) {
      this.trying = way.name;
      this.listener.open({ ...way, ticket }, []);
    } else if (!this.lane) {
      this.#hello(true);
    }
  }

  /**
   * @param {string} lane
   * @param {string} kernel
   */
  #openComm(lane, kernel) {
    const { port1, port2 } = new MessageChannel();
    const uplink = uplinks.get(kernel) ?? new Uplink();
    uplinks.set(kernel, uplink);
    relays.set(lane, { port: port1, uplink });
    this.comms.add(lane);
    port1.onmessage = ({ data }) => {
      if (data) uplink.send(lane, data.message, data.patient, (content, buffers) => void this.send(content, buffers));
      else this.#hangUp(lane);
    };
    this.trying = "comm";
    this.listener.open({ name: "comm", port: port2 }, [port2]);
  }

  /**
   * @param {string} lane
   * @param {DataView[]} buffers
   */
  #bringDown(lane, buffers) {
    const relay = relays.get(lane);
    for (const { buffer, byteOffset, byteLength } of buffers) {
      const whole = byteLength === buffer.byteLength;
      const message = whole ? buffer : buffer.slice(byteOffset, byteOffset + byteLength);
      relay?.port.postMessage(message, [message]);
    }
  }

  /** @param {string} lane */
  #hangUp(lane) {
    if (!this.comms.delete(lane)) return;
    const relay = relays.get(lane);
    relays.delete(lane);
    // its last words may still wait
    relay?.uplink.flush();
    relay?.port.close();
    this.send({ type: "bye", lane });
  }

  /** Close all comm lanes but this one. @param {string} [kept] */
  #leave(kept) {
    for (const lane of [...this.comms]) if (lane !== kept) this.#hangUp(lane);
  }

  /** Ways better than the one in use, that have not failed just now. */
  #better() {
    const found = findWebsockets(location, this.baseUrl, this.port);
    const present = found.findIndex(({ name }) => name === this.lane);
    const better = present < 0 ? found : found.slice(0, present);
    return better.filter(({ name }) => performance.now() >= (failed.get(name + this.port)?.restsUntilMs ?? 0));
  }

  /** @param {LaneName} name */
  #rest(name) {
    const failures = (failed.get(name + this.port)?.failures ?? 0) + 1;
    const restMs = Math.min(LONGEST_REST_MS, REST_MS * 2 ** (failures - 1));
    failed.set(name + this.port, { failures, restsUntilMs: performance.now() + restMs });
  }

  /** There is nothing better to be had. What becomes of the lane in use is told on that. */
  #stay() {
    this.#better().forEach(({ name }) => this.#rest(name));
    this.#considerBetter();
  }

  /** Try a better way when it has rested. */
  #considerBetter() {
    const names = findWebsockets(location, this.baseUrl, this.port).map(({ name }) => name);
    const present = names.findIndex((name) => name === this.lane);
    const better = present < 0 ? names : names.slice(0, present);
    const rests = better.map((name) => (failed.get(name + this.port)?.restsUntilMs ?? 0) - performance.now());
    if (!rests.length) return;
    this.#setTimer("better", Math.max(AGAIN_MS, Math.min(...rests)), () => {
      if (this.trying || document.hidden) this.#considerBetter();
      else this.#hello();
    });
  }

  /**
   * @param {string} name
   * @param {number} ms
   * @param {() => void} callback
   */
  #setTimer(name, ms, callback) {
    this.#clearTimer(name);
    this.timers[name] = setTimeout(callback, ms);
  }

  /** @param {string} name */
  #clearTimer(name) {
    clearTimeout(this.timers[name]);
    delete this.timers[name];
  }
}
