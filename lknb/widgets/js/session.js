// One widget in one page: it asks the kernel for a ticket, has a Worker play the lane, and knows what to say meanwhile.

import { findObstacle, unreachable } from "./host.js";
import { WORKER_SOURCE } from "./inserted.js";

/** The kernel may be busy, and an old one answers only when its cell has ended. */
const BUSY_AFTER_MS = 2_500;
const HELLO_AGAIN_MS = 20_000;
/** A view that is rendered again, as JupyterLab does when an output is updated, comes back within this. */
const LINGER_MS = 2_000;
const RETRY_FIRST_MS = 250;
/** Lanes refused in a row before the page says so. */
const REFUSALS = 3;
const SIZE_SETTLES_MS = 100;

/** @typedef {import("./tile.js").Tile} Tile */
/** @typedef {import("./tile.js").Hung} Hung */

export class Session {
  /** @param {WidgetModel} model */
  constructor(model) {
    this.model = model;
    // crypto.randomUUID exists on secure pages only, and the others need to be told why they show nothing
    this.client = Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(16)).join("-");
    /** @type {Set<Tile>} */
    this.tiles = new Set();
    /** Views that the notebook has left and not removed yet. @type {Set<Tile>} */
    this.left = new Set();
    /** @type {TileState} */
    this.state = "connecting";
    this.title = "";
    this.detail = "";
    this.hasPicture = false;
    this.width = 0;
    this.height = 0;
    /** @type {Worker | null} */
    this.worker = null;
    this.started = false;
    this.orphaned = false;
    this.hellos = 0;
    this.refusals = 0;
    this.nextCanvas = 1;
    /** @type {Record<string, number>} */
    this.timers = {};
    this.visible = "";
    this.onVisibility = () => this.look();
    this.onMessage = (/** @type {any} */ content) => this.receive(content);
    // the views hear of it at the same time, and show it in their class
    this.onComm = () => this.setTimer("comm", 0, () => this.checkComm());
    model.on("msg:custom", this.onMessage);
    model.on("comm_live_update", this.onComm);
    document.addEventListener("visibilitychange", this.onVisibility);
  }

  /** @param {Tile} tile */
  attach(tile) {
    this.tiles.add(tile);
    this.clearTimer("linger");
    if (this.checkComm() && !this.started) this.start();
  }

  /** @param {Tile} tile */
  detach(tile) {
    this.left.delete(tile);
    if (!this.tiles.delete(tile)) return;
    if (!this.tiles.size) this.setTimer("linger", LINGER_MS, () => this.stop());
    this.look();
  }

  /** The widget is gone. */
  dispose() {
    this.stop();
    this.model.off("msg:custom", this.onMessage);
    this.model.off("comm_live_update", this.onComm);
    document.removeEventListener("visibilitychange", this.onVisibility);
  }

  /** Begin anew: the user asked for it, or the first view is shown. */
  start() {
    this.started = true;
    const obstacle = findObstacle({
      hostname: location.hostname,
      secure: isSecureContext,
      webcodecs: typeof VideoDecoder !== "undefined" && typeof OffscreenCanvas !== "undefined",
    });
    if (obstacle) {
      this.fail(obstacle);
      return;
    }
    this.refusals = 0;
    this.become("connecting");
    this.hello();
  }

  /** Nobody looks: no lane, no Worker, nothing that runs. */
  stop() {
    Object.keys(this.timers).forEach((name) => this.clearTimer(name));
    this.hellos += 1;
    this.started = false;
    this.worker?.terminate();
    this.worker = null;
    this.visible = "";
  }

  hello() {
    this.hellos += 1;
    this.clearTimer("retry");
    this.setTimer("busy", BUSY_AFTER_MS, () => this.become("connecting", "", "The kernel is busy; it answers when it can."));
    this.setTimer("again", HELLO_AGAIN_MS, () => this.hello());
    this.send({ type: "hello", hello: this.hellos, origin: location.origin });
  }

  /** @param {Record<string, unknown>} content */
  send(content) {
    try {
      this.model.send({ ...content, client: this.client });
    } catch {
      // the comm of a kernel that was restarted refuses to send
      this.orphan();
    }
  }

  orphan() {
    this.stop();
    this.become("ended", "This was live video", "Its kernel is gone. Run the cell again to see it.");
  }

  /** @param {any} content */
  receive(content) {
    // each page gets the answers to all of them
    if (content?.client !== this.client || content.hello !== this.hellos) return;
    this.clearTimer("busy");
    this.clearTimer("again");
    if (content.type === "lane") this.open(content.port, content.ticket);
    else if (content.type === "ended") this.become("ended", "", content.detail);
    else if (content.type === "refused") this.fail({ title: "No live video", detail: content.detail });
  }

  /**
   * @param {number} port
   * @param {string} ticket
   */
  open(port, ticket) {
    if (!this.worker) {
      const url = URL.createObjectURL(new Blob([WORKER_SOURCE], { type: "text/javascript" }));
      const worker = new Worker(url);
      // some browsers fetch the text late; the first word of the Worker shows that it has it
      worker.onmessage = ({ data }) => {
        URL.revokeObjectURL(url);
        worker.onmessage = (event) => this.hear(event.data);
        this.hear(data);
      };
      worker.onerror = (event) => {
        URL.revokeObjectURL(url);
        this.fail({ title: "No live video", detail: event.message || "This page does not allow a Worker." });
      };
      this.worker = worker;
      this.hasPicture = false;
      this.tiles.forEach((tile) => {
        // canvases of a Worker that has ended can never be painted again
        tile.takeDown()?.canvas.remove();
        tile.hang();
      });
      this.look();
    }
    this.command({ type: "open", port, ticket });
  }

  /** @param {PlayerEvent} event */
  hear(event) {
    if (event.type === "closed") this.reopen(event.opened, event.port);
    else if (event.type === "size") this.resize(event.width, event.height);
    else if (event.state === "error") this.fail({ title: "Cannot show this video", detail: event.detail });
    else this.play(event.state);
  }

  /** @param {PlayerState} state */
  play(state) {
    this.refusals = 0;
    if (state === "playing") this.hasPicture = true;
    if (state === "muted") this.hasPicture = false;
    this.become(state);
  }

  /**
   * The lane closed: the core died, or nothing answered at its port.
   * @param {boolean} opened
   * @param {number} port
   */
  reopen(opened, port) {
    this.refusals = opened ? 0 : this.refusals + 1;
    if (this.refusals >= REFUSALS) {
      this.fail(unreachable(port));
      return;
    }
    if (!this.checkComm()) return;
    this.become("connecting");
    const waitMs = RETRY_FIRST_MS * 4 ** Math.max(0, this.refusals - 1);
    this.setTimer("retry", waitMs, () => this.hello());
  }

  /** Whether the kernel that made the widget is still there. A host that does not tell is believed to be alive. */
  checkComm() {
    const orphaned = [...this.tiles].some((tile) => tile.isDisconnected());
    if (orphaned) {
      this.orphan();
    } else if (this.orphaned && this.tiles.size) {
      this.start();
    }
    this.orphaned = orphaned;
    return !orphaned;
  }

  /** @param {import("./host.js").Obstacle} obstacle */
  fail({ title, detail }) {
    ["busy", "again", "retry"].forEach((name) => this.clearTimer(name));
    this.become("error", title, detail);
    this.send({ type: "error", detail: `${title}. ${detail}` });
  }

  /**
   * @param {TileState} state
   * @param {string} [title]
   * @param {string} [detail]
   */
  become(state, title = "", detail = "") {
    this.state = state;
    this.title = title;
    this.detail = detail;
    this.tiles.forEach((tile) => tile.update());
  }

  /**
   * @param {number} width
   * @param {number} height
   */
  resize(width, height) {
    this.width = width;
    this.height = height;
    this.tiles.forEach((tile) => tile.update());
  }

  /**
   * A canvas for this tile, painted by the Worker. That of a view that was left goes over to its successor, picture and all,
   * so that nothing flickers.
   * @param {Tile} tile
   * @returns {Hung | null}
   */
  takeCanvas(tile) {
    if (!this.worker) return null;
    for (const other of this.tiles) {
      if (other !== tile && other.isLeft()) {
        const taken = other.takeDown();
        if (taken) return taken;
      }
    }
    const canvas = document.createElement("canvas");
    canvas.setAttribute("aria-hidden", "true");
    const id = this.nextCanvas++;
    const offscreen = canvas.transferControlToOffscreen();
    this.command({ type: "canvas", id, canvas: offscreen }, [offscreen]);
    return { id, canvas };
  }

  retireLeft() {
    for (const tile of [...this.left, ...this.tiles]) {
      if (!tile.isLeft()) continue;
      this.tiles.delete(tile);
      this.left.add(tile);
      tile.retire();
    }
  }

  /** Tell the Worker, and through it the core, how large the track is seen; soon, once it has settled. */
  look() {
    if (document.hidden) this.command({ type: "picture" });
    this.setTimer("look", SIZE_SETTLES_MS, () => {
      const seen = [...this.tiles].filter((tile) => tile.isSeen());
      const visible = {
        width: Math.max(0, ...seen.map((tile) => tile.width)),
        height: Math.max(0, ...seen.map((tile) => tile.height)),
        dpr: devicePixelRatio,
        visible: seen.length > 0,
      };
      if (JSON.stringify(visible) === this.visible || !this.worker) return;
      this.visible = JSON.stringify(visible);
      this.command({ type: "visible", visible });
    });
  }

  /**
   * @param {PlayerCommand} command
   * @param {Transferable[]} [transfer]
   */
  command(command, transfer = []) {
    this.worker?.postMessage(command, transfer);
  }

  /**
   * @param {string} name
   * @param {number} ms
   * @param {() => void} callback
   */
  setTimer(name, ms, callback) {
    this.clearTimer(name);
    this.timers[name] = setTimeout(callback, ms);
  }

  /** @param {string} name */
  clearTimer(name) {
    clearTimeout(this.timers[name]);
    delete this.timers[name];
  }
}
