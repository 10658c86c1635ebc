// Cameras, microphones and screens of this page: taking them, letting go of them, and saying what went wrong.

import { CaptureFeed } from "./capture_feed.js";
import { CaptureReport, describeHeld, inWords } from "./capture_report.js";
import { ScreenShare } from "./capture_screen.js";
import { NOT_HELD, explainChange, explainEncoder, explainFault, explainLoss } from "./device_fault.js";
import { Obstacle, cameraOf, currentObstacle, isForbidden, listDevices, microphoneOf, watchForbidden } from "./device_list.js";
import { noteMicrophone } from "./page.js";
import { chooseSpeaker } from "./speaker_choice.js";

/** @typedef {import("./device_fault.js").CaptureDevice} CaptureDevice */

/**
 * One device that was asked for.
 * @typedef {object} Held
 * @property {number} capture
 * @property {CaptureDevice} device
 * @property {string} deviceId the one that was chosen; empty for the browser's choice
 * @property {string} usedId the one the core knows of
 * @property {Record<string, any>} constraints
 * @property {boolean} muted
 * @property {MediaStreamTrack | null} track null while the device is let go of
 * @property {() => void} detach
 */

/** Wishes that come within this are one question to the person. */
const TOGETHER_MS = 30;

export class DeviceSet {
  /**
   * @param {(message: CaptureCommand, transfer?: Transferable[]) => void} command to the Worker
   * @param {() => void} changed
   */
  constructor(command, changed) {
    this.command = command;
    this.changed = changed;
    /** @type {Map<number, Held>} */
    this.held = new Map();
    /** @type {import("./device_fault.js").DeviceFault & { device: string } | null} */
    this.fault = null;
    /** What the person is asked for just now. @type {Set<CaptureDevice>} */
    this.asking = new Set();
    this.wishes = /** @type {any[]} */ ([]);
    /** Captures that are being opened; one that is not in it any more is not wanted any more. @type {Set<number>} */
    this.opening = new Set();
    this.screen = new ScreenShare(() => this.changed());
    this.feed = new CaptureFeed(command);
    this.report = new CaptureReport(command);
  }

  /**
   * A command of the core.
   * @param {Record<string, any>} header
   */
  handle(header) {
    if (header.type === "take") this.#wish(header);
    else if (header.type === "close") this.close(header.capture);
    else if (header.type === "mute") this.#answer(header, () => this.#mute(header.capture, header.muted));
    else if (header.type === "switch") this.#answer(header, () => this.#switch(header.capture, header.device_id));
    else if (header.type === "speaker") this.#answer(header, () => chooseSpeaker(header.device_id));
    else if (header.type === "devices") this.#answer(header, async () => ({ devices: await listDevices() }));
  }

  /** @param {CaptureDevice} device */
  find(device) {
    return [...this.held.values()].find((held) => held.device === device);
  }

  /** The person wants to share a screen, and clicked just now. Whether the kernel has to hear of it. */
  async clickScreen() {
    const fault = currentObstacle();
    if (fault) {
      this.#fail(fault, "screen");
      return false;
    }
    try {
      const isNews = await this.screen.click();
      this.#clear("screen");
      return isNews;
    } catch (error) {
      this.#fail(explainFault(error, "screen"), "screen");
      return false;
    }
  }

  /** Let go of everything. */
  closeAll() {
    this.giveUp();
    [...this.held.keys()].forEach((capture) => this.close(capture));
    this.screen.drop();
    this.feed.close();
  }

  /** Nobody waits for what the person is still being asked for: it is let go of as soon as there is an answer. */
  giveUp() {
    this.opening.clear();
    this.screen.giveUp();
  }

  /** @param {number} capture */
  close(capture) {
    this.opening.delete(capture);
    this.screen.giveUp(capture);
    const held = this.held.get(capture);
    if (!held) return;
    this.held.delete(capture);
    this.#release(held);
    if (held.device === "screen") this.screen.drop();
    this.command({ type: "drop", capture });
    this.changed();
  }

  /** Its encoders fail for good: nothing of it is sent any more. */
  breakOff(/** @type {number} */ capture, /** @type {string} */ codec) {
    const device = this.held.get(capture)?.device;
    if (!device) return;
    this.close(capture);
    const fault = explainEncoder(device, codec);
    this.#fail(fault, device);
    this.report.lost(capture, fault);
    this.report.ended(capture, inWords(fault));
  }

  // -------------------------------------------------------------------- what the core asks for

  /** @param {Record<string, any>} header */
  #wish(header) {
    this.opening.add(header.capture);
    this.wishes.push(header);
    if (this.wishes.length === 1) setTimeout(() => this.#take(this.wishes.splice(0)), TOGETHER_MS);
  }

  /** @param {Record<string, any>[]} wishes */
  async #take(wishes) {
    const wanted = wishes.filter((wish) => this.opening.has(wish.capture));
    const camera = wanted.find((wish) => wish.device === "camera");
    const microphone = wanted.find((wish) => wish.device === "microphone");
    if (camera && microphone && !currentObstacle()) {
      try {
        // one question for both; what goes wrong is found out one by one
        const asked = { video: cameraOf(camera), audio: microphoneOf(microphone) };
        const stream = await this.#ask(["camera", "microphone"], () => navigator.mediaDevices.getUserMedia(asked));
        camera.track = stream.getVideoTracks()[0];
        microphone.track = stream.getAudioTracks()[0];
      } catch {
        // asked again below
      }
    }
    await Promise.all(wishes.map((wish) => this.#answer(wish, () => this.#open(wish))));
    wishes.forEach((wish) => this.opening.delete(wish.capture));
  }

  /** @param {any} wish */
  async #open(wish) {
    const { capture, device, device_id: deviceId, constraints } = wish;
    if (!wish.track && !this.opening.has(capture)) throw new Obstacle(NOT_HELD);
    const track = wish.track ?? (await this.#obtain(wish, deviceId));
    if (!this.opening.delete(capture)) {
      track.stop();
      if (device === "screen") this.screen.drop();
      throw new Obstacle(NOT_HELD);
    }
    /** @type {Held} */
    const held = { capture, device, deviceId, usedId: "", constraints, muted: false, track: null, detach: () => {} };
    this.held.set(capture, held);
    try {
      await this.#attach(held, track);
    } catch (error) {
      this.close(capture);
      throw error;
    }
    return describeHeld(held);
  }

  /**
   * A camera that is muted is let go of, so that its light goes off; a microphone goes on and is not listened to.
   * @param {number} capture
   * @param {boolean} muted
   */
  async #mute(capture, muted) {
    const held = this.#get(capture);
    held.muted = muted;
    if (held.device !== "camera") this.command({ type: "pause", capture, paused: muted });
    else if (muted) this.#release(held);
    // a microphone, too, may have been lost meanwhile
    if (!muted && !held.track) await this.#takeAgain(held, held.deviceId);
    // it was muted again while the browser asked
    if (!muted && held.muted) throw new Obstacle(NOT_HELD);
    this.changed();
    return {};
  }

  /**
   * @param {Held} held
   * @param {string} deviceId
   * @param {string} [firstId] asked for before it
   */
  async #takeAgain(held, deviceId, firstId = deviceId) {
    let track;
    try {
      track = await this.#obtain(held, firstId).catch((error) => {
        if (firstId === deviceId || error.name === "NotAllowedError") throw error;
        return this.#obtain(held, deviceId);
      });
    } catch (error) {
      held.muted = true;
      throw error;
    }
    if (held.muted || held.track || this.held.get(held.capture) !== held) {
      track.stop();
      return;
    }
    held.deviceId = deviceId;
    await this.#attach(held, track);
  }

  /**
   * @param {number} capture
   * @param {string} deviceId
   */
  async #switch(capture, deviceId) {
    const held = this.#get(capture);
    const track = await this.#obtain(held, deviceId);
    if (this.held.get(capture) !== held) {
      track.stop();
      throw new Obstacle(NOT_HELD);
    }
    held.deviceId = deviceId;
    if (held.muted && held.device === "camera") {
      track.stop();
    } else {
      this.#release(held);
      await this.#attach(held, track);
    }
    return describeHeld(held);
  }

  /** @param {number} capture */
  #get(capture) {
    const held = this.held.get(capture);
    if (!held) throw new Obstacle(NOT_HELD);
    return held;
  }

  /**
   * @param {Record<string, any>} header
   * @param {() => Promise<Record<string, any>>} carryOut
   */
  async #answer(header, carryOut) {
    const device = header.device ?? this.held.get(header.capture)?.device ?? "camera";
    try {
      const done = await carryOut();
      // a mute says nothing about what is wrong with a device
      if (!header.muted) this.#clear(device);
      this.report.done(header.request, done);
      this.report.used(this.held.get(header.capture));
    } catch (error) {
      const fault = error instanceof Obstacle ? error.fault : explainFault(error, device);
      // the sound of a screen is offered or not, that is nobody's fault; and what came too late is no news
      if (device !== "screen_audio" && fault !== NOT_HELD) this.#fail(fault, device);
      this.report.failed(header.request, fault);
    }
  }

  // -------------------------------------------------------------------- devices

  /**
   * @param {{ capture: number, device: CaptureDevice, constraints: Record<string, any> }} wish
   * @param {string} deviceId
   * @returns {Promise<MediaStreamTrack>}
   */
  async #obtain({ capture, device, constraints }, deviceId) {
    const fault = currentObstacle();
    if (fault) throw new Obstacle(fault);
    return this.#ask([device], async () => {
      if (device === "screen" || device === "screen_audio") return this.screen.obtain(device, capture, constraints);
      const wanted = { device_id: deviceId, constraints };
      const stream = await navigator.mediaDevices.getUserMedia(
        device === "camera" ? { video: cameraOf(wanted) } : { audio: microphoneOf(wanted) },
      );
      return stream.getTracks()[0];
    });
  }

  /**
   * Whatever asks the person for these devices.
   * @template Got
   * @param {CaptureDevice[]} devices
   * @param {() => Promise<Got>} obtain
   * @returns {Promise<Got>}
   */
  async #ask(devices, obtain) {
    devices.forEach((device) => this.asking.add(device));
    this.changed();
    try {
      return await obtain();
    } finally {
      devices.forEach((device) => this.asking.delete(device));
      this.changed();
    }
  }

  /**
   * @param {Held} held
   * @param {MediaStreamTrack} track
   */
  async #attach(held, track) {
    held.track = track;
    // only somebody else ends a track so that it tells: we stop it without a word
    track.onended = () => this.#lose(held);
    const { device } = held;
    const unwatch = device === "camera" || device === "microphone" ? watchForbidden(device, () => this.#lose(held)) : () => {};
    held.detach = unwatch;
    const detach = await this.feed.begin(held.capture, track);
    if (held.track !== track) {
      // it was let go of meanwhile
      detach();
      return;
    }
    const closeMicrophone = device === "microphone" ? noteMicrophone() : () => {};
    held.detach = () => {
      unwatch();
      detach();
      closeMicrophone();
    };
    this.changed();
  }

  /** @param {Held} held */
  #release(held) {
    if (!held.track) return;
    held.track.onended = null;
    held.track.stop();
    held.track = null;
    held.detach();
    held.detach = () => {};
  }

  /** The browser took it away. @param {Held} held */
  #lose(held) {
    const { capture, device } = held;
    if (device === "camera" || device === "microphone") {
      this.#replace(held, device);
      return;
    }
    this.close(capture);
    this.report.ended(capture, "The screen is not shared any more");
  }

  /**
   * Chromium ends all that was asked for in one question when one of it is taken back: what is there all the same goes on. Else
   * as livekit-client does: another device of the kind takes over, unless one was chosen or the page may use none any more; a
   * microphone goes on with the system's. Where there is none it is muted, and unmuting it asks again.
   * @param {Held} held
   * @param {"camera" | "microphone"} device
   */
  async #replace(held, device) {
    const { usedId } = held;
    const label = held.track?.label;
    this.#release(held);
    this.changed();
    // a muted one is asked for when it is unmuted
    if (held.muted) return;
    try {
      if (await isForbidden(device)) throw new DOMException("taken back", "NotAllowedError");
      await this.#takeAgain(held, device === "microphone" ? "" : held.deviceId, usedId);
      if (!held.track) return;
      // the system's may be another one under the same id
      const isOther = held.track.getSettings().deviceId !== usedId || held.track.label !== label;
      if (isOther) this.#fail(explainChange(device, held.track.label), device);
      this.report.used(this.held.get(held.capture));
    } catch (error) {
      held.muted = true;
      if (this.held.get(held.capture) !== held) return;
      const isDenied = error instanceof DOMException && error.name === "NotAllowedError";
      const fault = isDenied ? explainFault(error, device) : explainLoss(device);
      this.#fail(fault, device);
      this.report.lost(held.capture, fault);
    }
  }

  /**
   * @param {import("./device_fault.js").DeviceFault} fault
   * @param {string} device
   */
  #fail(fault, device) {
    this.fault = { ...fault, device };
    this.changed();
  }

  /** @param {string} device */
  #clear(device) {
    if (this.fault?.device === device) this.fault = null;
    this.changed();
  }
}
