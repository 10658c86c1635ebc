// Screens: browsers give one only right after a click or a key, so a click takes it before the kernel has asked, or after.

import { NOT_HELD, explainFault } from "./device_fault.js";
import { Obstacle } from "./device_list.js";

/** Screens that were taken in a click wait so long for the kernel to ask for them. */
const CLICKED_MS = 15_000;
/** A call of a cell waits so long for the click that the browser wants. */
const CLICK_WITHIN_MS = 60_000;
const SCREEN = { width: 1920, height: 1080, frameRate: 30 };

/** @typedef {{ capture: number, asked: DisplayMediaStreamOptions, settle: (outcome: Promise<MediaStream>) => void }} ClickWanted */

export class ScreenShare {
  /** @param {() => void} changed */
  constructor(changed) {
    this.changed = changed;
    /** What was taken and nobody has asked for yet. @type {MediaStream | null} */
    this.clicked = null;
    /** The call that waits for a click. @type {ClickWanted | null} */
    this.wanted = null;
  }

  /**
   * Within a click: take a screen, for the call that waits for one if there is such a call, else for one that the kernel will
   * make. Whether there will be one, so that it has to hear of the click; throws as `getDisplayMedia` does.
   */
  async click() {
    const { wanted } = this;
    const taking = navigator.mediaDevices.getDisplayMedia(wanted?.asked ?? { video: SCREEN, audio: true });
    if (wanted) {
      wanted.settle(taking);
      return false;
    }
    this.#keep(await taking);
    return true;
  }

  /** The person does not want what the call asks for. */
  refuse() {
    this.wanted?.settle(Promise.reject(new DOMException("dismissed", "NotAllowedError")));
  }

  /**
   * A screen, or the sound that came with one.
   * @param {"screen" | "screen_audio"} device
   * @param {number} capture
   * @param {Record<string, any>} constraints
   * @returns {Promise<MediaStreamTrack>}
   */
  async obtain(device, capture, { width, height, fps: frameRate, audio }) {
    if (device === "screen_audio") {
      const sound = this.clicked?.getAudioTracks()[0];
      this.clicked = null;
      if (!sound) throw new DOMException("it is shared without sound", "NotFoundError");
      return sound;
    }
    const clicked = this.clicked?.getVideoTracks()[0]?.readyState === "live" ? this.clicked : null;
    const stream = clicked ?? (await this.#ask(capture, { video: { width, height, frameRate }, audio: !!audio }));
    if (stream === this.clicked) this.clicked = null;
    // its sound is asked for next, if at all
    this.#keep(new MediaStream(stream.getAudioTracks()));
    if (!audio) this.drop();
    return stream.getVideoTracks()[0];
  }

  /** Nobody asks for what was taken any more. */
  drop() {
    this.clicked?.getTracks().forEach((track) => track.stop());
    this.clicked = null;
  }

  /** Nobody waits for a click any more, or not for this capture. @param {number} [capture] */
  giveUp(capture) {
    const { wanted } = this;
    if (!wanted || (capture !== undefined && capture !== wanted.capture)) return;
    wanted.settle(Promise.reject(new Obstacle(NOT_HELD)));
  }

  /**
   * @param {number} capture
   * @param {DisplayMediaStreamOptions} asked
   */
  async #ask(capture, asked) {
    try {
      return await navigator.mediaDevices.getDisplayMedia(asked);
    } catch (error) {
      if (!(error instanceof DOMException) || error.name !== "InvalidStateError") throw error;
      return this.#waitForClick(capture, asked, new Obstacle(explainFault(error, "screen")));
    }
  }

  /**
   * @param {number} capture
   * @param {DisplayMediaStreamOptions} asked
   * @param {Obstacle} obstacle what stands in the way when there is no click in time
   * @returns {Promise<MediaStream>}
   */
  #waitForClick(capture, asked, obstacle) {
    this.giveUp();
    return new Promise((resolve) => {
      const timer = setTimeout(() => wanted.settle(Promise.reject(obstacle)), CLICK_WITHIN_MS);
      /** @type {ClickWanted} */
      const wanted = {
        capture,
        asked,
        settle: (outcome) => {
          clearTimeout(timer);
          this.wanted = null;
          resolve(outcome);
          this.changed();
        },
      };
      this.wanted = wanted;
      this.changed();
    });
  }

  /** Hold a screen, or its sound, until the core asks for it; not for long. @param {MediaStream} stream */
  #keep(stream) {
    this.drop();
    this.clicked = stream;
    setTimeout(() => {
      if (this.clicked === stream) this.drop();
    }, CLICKED_MS);
  }
}
