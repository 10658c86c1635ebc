// What devices give, on its way to the Worker: as it comes where the browser can hand it over, else by way of the page.

import { SOUNDLESS } from "./device_fault.js";
import { Obstacle } from "./device_list.js";
import { TAP_SOURCE } from "./inserted.js";

/** Between two pictures of a page that nobody sees. */
const HIDDEN_PERIOD_MS = 33;
/** The audio thread begins within this, or not at all. */
const RUNS_WITHIN_MS = 4_000;

export class CaptureFeed {
  /** @param {(message: CaptureCommand, transfer?: Transferable[]) => void} command to the Worker */
  constructor(command) {
    this.command = command;
    /** @type {AudioContext | null} */
    this.context = null;
  }

  /**
   * Hand over what a track gives, until the function that is returned is called.
   * @param {number} capture
   * @param {MediaStreamTrack} track
   * @returns {Promise<() => void>}
   */
  async begin(capture, track) {
    return track.kind === "video" ? this.#video(capture, track) : this.#sound(capture, track);
  }

  close() {
    this.context?.close();
    this.context = null;
  }

  /**
   * @param {number} capture
   * @param {MediaStreamTrack} track
   */
  #video(capture, track) {
    if (typeof MediaStreamTrackProcessor !== "undefined") {
      const { readable } = new MediaStreamTrackProcessor({ track });
      this.command({ type: "video", capture, readable }, [readable]);
      return () => {};
    }
    const video = document.createElement("video");
    video.muted = true;
    video.srcObject = new MediaStream([track]);
    const grab = () => {
      if (!video.videoWidth) return;
      const frame = new VideoFrame(video, { timestamp: Math.round(performance.now() * 1000) });
      this.command({ type: "frame", capture, frame }, [frame]);
    };
    const present = () => {
      if (!video.srcObject) return;
      if (!document.hidden) grab();
      video.requestVideoFrameCallback(present);
    };
    video.requestVideoFrameCallback(present);
    video.play();
    const stopTicks = tickWhileHidden(grab);
    return () => {
      stopTicks();
      video.srcObject = null;
      this.command({ type: "forget", capture });
    };
  }

  /**
   * @param {number} capture
   * @param {MediaStreamTrack} track
   */
  async #sound(capture, track) {
    if (typeof MediaStreamTrackProcessor !== "undefined") {
      const { readable } = new MediaStreamTrackProcessor({ track });
      this.command({ type: "sound", capture, readable }, [readable]);
      return () => {};
    }
    const context = await this.#audioContext();
    if (!(await isRunning(context))) throw new Obstacle(SOUNDLESS);
    const tap = new AudioWorkletNode(context, "lknb-tap", { numberOfInputs: 1, numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
    const { port1, port2 } = new MessageChannel();
    tap.port.postMessage({ port: port1 }, [port1]);
    this.command({ type: "audio", capture, port: port2, sampleRate: context.sampleRate }, [port2]);
    const source = context.createMediaStreamSource(new MediaStream([track]));
    source.connect(tap);
    return () => {
      source.disconnect();
      tap.port.postMessage({});
    };
  }

  async #audioContext() {
    if (!this.context) {
      const context = new AudioContext({ sampleRate: 48_000, latencyHint: "interactive" });
      const url = URL.createObjectURL(new Blob([TAP_SOURCE], { type: "text/javascript" }));
      try {
        await context.audioWorklet.addModule(url);
      } finally {
        URL.revokeObjectURL(url);
      }
      this.context = context;
    }
    return this.context;
  }
}

/**
 * Whether its clock runs, if need be in a moment.
 * @param {AudioContext} context
 */
async function isRunning(context) {
  if (context.state !== "running") {
    await Promise.race([context.resume(), new Promise((resolve) => setTimeout(resolve, RUNS_WITHIN_MS))]).catch(() => {});
  }
  return context.state === "running";
}

/**
 * Tick while nobody sees the page: no picture is presented there, and its timers are slow. Those of a Worker are not.
 * @param {() => void} tick
 * @returns {() => void} ends it
 */
function tickWhileHidden(tick) {
  /** @type {Worker | null} */
  let worker = null;
  const follow = () => {
    worker?.terminate();
    worker = null;
    if (!document.hidden) return;
    const url = URL.createObjectURL(new Blob([`setInterval(() => postMessage(0), ${HIDDEN_PERIOD_MS})`], { type: "text/javascript" }));
    worker = new Worker(url);
    worker.onmessage = () => {
      URL.revokeObjectURL(url);
      tick();
    };
  };
  document.addEventListener("visibilitychange", follow);
  follow();
  return () => {
    document.removeEventListener("visibilitychange", follow);
    worker?.terminate();
  };
}
