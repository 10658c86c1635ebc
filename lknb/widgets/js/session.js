// One widget in one page: it has a Worker play what comes over its lane, and knows what to say meanwhile.

import { Dialer } from "./dialer.js";
import { explainStills, findObstacle } from "./host.js";
import { WORKER_SOURCE } from "./inserted.js";

/** A view that is rendered again, as JupyterLab does when an output is updated, comes back within this. */
const LINGER_MS = 2_000;
const SIZE_SETTLES_MS = 100;

/** @typedef {import("./tile.js").Tile} Tile */
/** @typedef {import("./tile.js").Hung} Hung */

export class Session {
  /** @param {WidgetModel} model */
  constructor(model) {
    this.model = model;
    this.dialer = new Dialer(model, {
      open: (way, transfer) => this.open(way, transfer),
      wait: (detail) => this.become("connecting", "", detail),
      end: (detail) => this.become("ended", "", detail),
      fail: (obstacle) => this.fail(obstacle),
      lose: () => this.orphan(),
    });
    /** @type {Set<Tile>} */
    this.tiles = new Set();
    /** Views that the notebook has left and not removed yet. @type {Set<Tile>} */
    this.left = new Set();
    /** @type {TileState} */
    this.state = "connecting";
    this.title = "";
    this.detail = "";
    this.hasPicture = false;
    /** Why the picture is worse than it could be, and what to do. */
    this.note = "";
    this.width = 0;
    this.height = 0;
    /** @type {Worker | null} */
    this.worker = null;
    this.started = false;
    /** Counts the times it was begun, or given up: what the Worker says of an earlier one is too late. */
    this.turn = 0;
    this.orphaned = false;
    /** How it comes to this page. @type {LaneName | ""} */
    this.lane = "";
    this.nextCanvas = 1;
    /** @type {Record<string, number>} */
    this.timers = {};
    this.visible = "";
    /** Whether anybody sees it, as was told. */
    this.seen = false;
    this.onVisibility = () => {
      // once, though the views are rendered again when the picture is stored
      if (document.hidden) this.command({ type: "picture" });
      this.look();
    };
    // the views hear of it at the same time, and show it in their class
    this.onComm = () => this.setTimer("comm", 0, () => this.checkComm());
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
    this.dialer.dispose();
    this.model.off("comm_live_update", this.onComm);
    document.removeEventListener("visibilitychange", this.onVisibility);
  }

  /** Begin anew: the user asked for it, there is another track, or the first view is shown. */
  start() {
    this.started = true;
    // the lane of before may still be open, and would have the Worker tell nothing of what it has told already
    this.hangUp();
    const obstacle = findObstacle({ canvas: typeof OffscreenCanvas !== "undefined" });
    if (obstacle) {
      this.fail(obstacle);
      return;
    }
    this.dialer.start();
  }

  /** There is another track to play. */
  again() {
    if (this.started) this.start();
  }

  /** Have the Worker close its lane, and hear no more of it. */
  hangUp() {
    this.turn += 1;
    this.command({ type: "close" });
  }

  /** Nobody looks: no lane, no Worker, nothing that runs. */
  stop() {
    Object.keys(this.timers).forEach((name) => this.clearTimer(name));
    this.dialer.stop();
    this.lane = "";
    this.started = false;
    this.#dismiss();
  }

  #dismiss() {
    this.worker?.terminate();
    this.worker = null;
    this.visible = "";
    this.seen = false;
  }

  orphan() {
    this.stop();
    this.become("ended", "This was live video", "Its kernel is gone. Run the cell again to see it.");
  }

  /**
   * @param {import("./channel.js").Way} way
   * @param {Transferable[]} transfer
   */
  open(way, transfer) {
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
        // who tries again gets another one
        this.#dismiss();
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
    this.command({ type: "open", way, turn: this.turn }, transfer);
  }

  /** @param {PlayerEvent & { turn: number }} event */
  hear(event) {
    if (event.turn !== this.turn) return;
    if (event.type === "opened") this.travel(event.name);
    else if (event.type === "closed") this.reopen(event.name, event.opened);
    else if (event.type === "codec") this.explain(event.codec);
    else if (event.type === "size") this.resize(event.width, event.height);
    else if (event.state === "error") this.fail({ title: "Cannot show this video", detail: event.detail });
    else this.play(event.state);
  }

  /** @param {PlayerState} state */
  play(state) {
    if (state === "playing") this.hasPicture = true;
    if (state === "muted") this.hasPicture = false;
    this.become(state);
  }

  /** @param {string} codec */
  explain(codec) {
    this.note = codec === "jpeg" ? explainStills({ secure: isSecureContext, decoder: typeof VideoDecoder !== "undefined" }) : "";
    this.tiles.forEach((tile) => tile.update());
  }

  /** @param {LaneName} name */
  travel(name) {
    this.lane = name;
    this.dialer.opened(name);
    this.tiles.forEach((tile) => tile.update());
  }

  /**
   * @param {LaneName} name
   * @param {boolean} opened
   */
  reopen(name, opened) {
    if (opened) this.lane = "";
    if (this.checkComm()) this.dialer.closed(name, opened);
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
    this.dialer.stop();
    this.lane = "";
    this.hangUp();
    this.become("error", title, detail);
    this.dialer.send({ type: "error", detail: title ? `${title}. ${detail}` : detail });
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

  /** Tell the Worker, and through it the core, how large the track is seen, once it has settled. */
  look() {
    const begins = !this.seen && [...this.tiles].some((tile) => tile.isSeen());
    // who begins to look waits for a picture, and in a page that is hidden timers run once a second
    if (begins || document.hidden) this.#tellSeen();
    else this.setTimer("look", SIZE_SETTLES_MS, () => this.#tellSeen());
  }

  #tellSeen() {
    const seen = [...this.tiles].filter((tile) => tile.isSeen());
    const visible = {
      width: Math.max(0, ...seen.map((tile) => tile.width)),
      height: Math.max(0, ...seen.map((tile) => tile.height)),
      dpr: devicePixelRatio,
      visible: seen.length > 0,
    };
    if (JSON.stringify(visible) === this.visible || !this.worker) return;
    this.seen = visible.visible;
    this.visible = JSON.stringify(visible);
    this.command({ type: "visible", visible });
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
