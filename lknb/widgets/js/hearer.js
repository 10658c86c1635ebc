// The sound of one room in one page: while a view of the room is displayed, a Worker listens on a lane, and the audio thread
// plays what it decodes. Nothing of that runs while the page shows nothing of the room.

import { Dialer } from "./dialer.js";
import { WORKER_SOURCE } from "./inserted.js";
import { openMixer } from "./mixing.js";
import { resumeOutput } from "./output.js";
import { announce, setPlayer, soundOf, thisPage } from "./page.js";

/** A view that is rendered again, as JupyterLab does when an output is updated, comes back within this. */
const SILENCE_AFTER_MS = 2_000;
/** Of a change of volume: what is shorter clicks. */
const GLIDE_S = 0.015;

/** @typedef {"idle" | "connecting" | "open" | "ended" | "error"} HearerState */

/** @implements {SoundPlayer} */
export class Hearer {
  /** @param {WidgetModel} model of a `RoomAudio` */
  constructor(model) {
    this.model = model;
    this.key = /** @type {string} */ (model.get("_audio"));
    /** @type {HearerState} */
    this.state = "idle";
    this.detail = "";
    /** @type {HeardTrack[]} */
    this.tracks = [];
    /** @type {Record<string, number>} */
    this.levels = {};
    /** @type {Worker | null} */
    this.worker = null;
    /** @type {import("./mixing.js").Mixing | null} */
    this.mixing = null;
    /** Counts the times it was begun. */
    this.turn = 0;
    this.timer = 0;
    this.dialer = new Dialer(model, {
      open: (way, transfer) => this.#command({ type: "open", way }, transfer),
      wait: (detail) => this.#become("connecting", detail),
      end: (detail) => this.#end(detail),
      fail: ({ title, detail }) => this.#fail(`${title}. ${detail}`),
      lose: () => this.#end("Its kernel is gone. Run the cell again to hear the room."),
    });
    this.onChange = () => this.#follow();
    this.onBlocked = () => this.#command({ type: "sink", sink: null, blocked: thisPage().blocked });
    this.onVolume = () => this.#setVolume(GLIDE_S);
    this.onGains = () => this.#command({ type: "gains", gains: model.get("_volumes") });
    this.onMessage = (/** @type {any} */ content) => this.#receive(content);
    thisPage().changes.addEventListener("views", this.onChange);
    thisPage().changes.addEventListener("player", this.onChange);
    thisPage().changes.addEventListener("blocked", this.onBlocked);
    model.on("change:volume", this.onVolume);
    model.on("change:muted", this.onVolume);
    model.on("change:_volumes", this.onGains);
    model.on("msg:custom", this.onMessage);
    this.#follow();
  }

  /** Whether there is something to be heard, if the browser lets us. */
  get playing() {
    return this.mixing !== null;
  }

  /** In words, for the bar. */
  get status() {
    if (this.state === "connecting") return this.detail || "Connecting…";
    if (this.state === "ended") return this.detail || "The room was left";
    if (this.state === "error") return this.detail;
    if (this.state === "idle") return "";
    if (!this.tracks.length) return "Nobody sends sound";
    if (thisPage().blocked) return "Waiting for a click";
    const heard = this.tracks.filter((track) => !track.muted).length;
    if (!heard) return "Everybody is muted";
    if (this.model.get("muted")) return "Muted here";
    return heard === 1 ? "Playing 1 track" : `Playing ${heard} tracks`;
  }

  retry() {
    this.#stop();
    this.#follow();
  }

  /** The widget is gone. */
  dispose() {
    thisPage().changes.removeEventListener("views", this.onChange);
    thisPage().changes.removeEventListener("player", this.onChange);
    thisPage().changes.removeEventListener("blocked", this.onBlocked);
    this.model.off("change:volume", this.onVolume);
    this.model.off("change:muted", this.onVolume);
    this.model.off("change:_volumes", this.onGains);
    this.model.off("msg:custom", this.onMessage);
    // nothing hears of it any more, and begins it anew
    clearTimeout(this.timer);
    this.#stop();
    this.dialer.dispose();
    if (soundOf(this.key).player === this) setPlayer(this.key, null);
  }

  /** Play while the page shows the room. A console beside a notebook has models of its own: one of them plays. */
  #follow() {
    const sound = soundOf(this.key);
    if (!sound.player) setPlayer(this.key, this);
    if (sound.player !== this) return;
    clearTimeout(this.timer);
    const shown = sound.views.size > 0;
    if (shown && this.state === "idle") this.#start();
    if (!shown && this.state !== "idle") this.timer = setTimeout(() => this.#stop(), SILENCE_AFTER_MS);
  }

  #start() {
    const silence = findSilence({ secure: isSecureContext, decoder: typeof AudioDecoder !== "undefined" });
    if (silence) {
      this.#fail(silence);
      return;
    }
    const url = URL.createObjectURL(new Blob([WORKER_SOURCE], { type: "text/javascript" }));
    const worker = new Worker(url);
    // some browsers fetch the text late; the first word of the Worker shows that it has it
    worker.onmessage = ({ data }) => {
      URL.revokeObjectURL(url);
      worker.onmessage = (event) => this.#hear(event.data);
      this.#hear(data);
    };
    worker.onerror = (event) => {
      URL.revokeObjectURL(url);
      this.#fail(event.message || "This page does not allow a Worker, so it plays no sound.");
    };
    this.worker = worker;
    this.turn += 1;
    this.onGains();
    this.dialer.start();
  }

  /** Nobody shows the room: no lane, no Worker, nothing that sounds. */
  #stop() {
    this.#hangUp();
    this.#become("idle");
  }

  /** @param {EarEvent} event */
  #hear(event) {
    if (event.type === "opened") {
      this.dialer.opened(event.name);
      this.#become("open");
    } else if (event.type === "closed") {
      if (event.opened) this.tracks = [];
      this.dialer.closed(event.name, event.opened);
    } else if (event.type === "levels") {
      this.levels = event.levels;
      announce("levels");
    } else if (event.type === "tracks") {
      this.tracks = event.tracks;
      announce("tracks");
      // a page that has nothing to play need not ask for a click
      if (this.tracks.length && !this.mixing) void this.#mix();
    } else if (event.type === "unsupported") {
      this.#fail(`This browser cannot decode this sound: ${event.detail}`);
    } else {
      this.#end("");
    }
  }

  /** No lane, and no place where it could be heard; nothing that the Worker has told counts any more. */
  #hangUp() {
    this.turn += 1;
    this.dialer.stop();
    this.worker?.terminate();
    this.worker = null;
    this.mixing?.close();
    this.mixing = null;
    this.tracks = [];
  }

  async #mix() {
    const turn = this.turn;
    try {
      const mixing = await openMixer();
      if (turn !== this.turn || this.mixing) {
        mixing.close();
        return;
      }
      this.mixing = mixing;
      this.#setVolume(0);
      const { port1, port2 } = new MessageChannel();
      mixing.mixer.port.postMessage({ type: "source", port: port1 }, [port1]);
      this.#command({ type: "sink", sink: port2, blocked: thisPage().blocked }, [port2]);
      announce("player");
    } catch (error) {
      if (turn === this.turn) this.#fail(`This browser plays no sound here: ${error instanceof Error ? error.message : error}`);
    }
  }

  /** @param {number} glideS */
  #setVolume(glideS) {
    const { context } = thisPage();
    const wanted = this.model.get("muted") ? 0 : this.model.get("volume");
    const gain = this.mixing?.volume.gain;
    if (gain && context && glideS) gain.setTargetAtTime(wanted, context.currentTime, glideS);
    else if (gain) gain.value = wanted;
    announce("tracks");
  }

  /** @param {any} content */
  #receive(content) {
    if (content?.type === "resume") resumeOutput();
    if (content?.type === "again" && this.state !== "idle") this.retry();
  }

  /** @param {string} detail */
  #end(detail) {
    this.#hangUp();
    this.#become("ended", detail);
  }

  /** @param {string} detail */
  #fail(detail) {
    this.#hangUp();
    this.#become("error", detail);
    this.dialer.send({ type: "error", detail });
  }

  /**
   * @param {HearerState} state
   * @param {string} [detail]
   */
  #become(state, detail = "") {
    this.state = state;
    this.detail = detail;
    announce("player");
  }

  /**
   * @param {EarCommand} command
   * @param {Transferable[]} [transfer]
   */
  #command(command, transfer = []) {
    this.worker?.postMessage(command, transfer);
  }
}

/**
 * Why this page cannot play sound, and what to do; empty when it can.
 * @param {{ secure: boolean, decoder: boolean }} page
 */
export function findSilence({ secure, decoder }) {
  if (decoder) return "";
  if (secure) return "This browser cannot decode sound (it has no WebCodecs for audio). Open the notebook in a current Chrome, Edge, Firefox, or Safari 26.";
  return (
    "No sound here: browsers decode it only on pages from https or from localhost. Open JupyterLab at http://localhost; " +
    "if it runs on another machine, through a tunnel: ssh -L 8888:localhost:8888 host"
  );
}
