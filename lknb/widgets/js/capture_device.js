// Cameras, microphones and screens of this page: taking them, letting go of them, and saying what went wrong.

import { CaptureFeed } from "./capture_feed.js";
import { explainFault, explainLoss } from "./device_fault.js";
import { Obstacle, cameraOf, currentObstacle, listDevices, microphoneOf } from "./device_list.js";
import { noteMicrophone } from "./page.js";

/** @typedef {import("./device_fault.js").CaptureDevice} CaptureDevice */

/**
 * One device that was asked for.
 * @typedef {object} Held
 * @property {number} capture
 * @property {CaptureDevice} device
 * @property {string} deviceId
 * @property {Record<string, any>} constraints
 * @property {boolean} muted
 * @property {MediaStreamTrack | null} track null while the device is let go of
 * @property {() => void} detach
 */

/** Wishes that come within this are one question to the person. */
const TOGETHER_MS = 30;
/** Screens that were taken in a click wait so long for the kernel to ask for them. */
const CLICKED_MS = 15_000;

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
    /** @type {any[]} */
    this.wishes = [];
    /** Captures that are being opened; one that is not in it any more is not wanted any more. @type {Set<number>} */
    this.opening = new Set();
    /** @type {MediaStream | null} */
    this.clickedScreen = null;
    this.feed = new CaptureFeed(command);
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
    else if (header.type === "devices") this.#answer(header, async () => ({ devices: await listDevices() }));
  }

  /** Hold a screen, or its sound, until the core asks for it; not for long. @param {MediaStream} stream */
  #keepScreen(stream) {
    this.clickedScreen = stream;
    setTimeout(() => {
      if (this.clickedScreen === stream) this.#dropScreen();
    }, CLICKED_MS);
  }

  /** @param {CaptureDevice} device */
  find(device) {
    return [...this.held.values()].find((held) => held.device === device);
  }

  /** Take a screen now, while the browser knows that there was a click; the core's wish for it comes later. */
  async clickScreen() {
    const fault = currentObstacle();
    if (fault) {
      this.#fail(fault, "screen");
      return false;
    }
    try {
      this.#keepScreen(await navigator.mediaDevices.getDisplayMedia({ video: SCREEN, audio: true }));
      this.#clear("screen");
      return true;
    } catch (error) {
      this.#fail(explainFault(error, "screen"), "screen");
      return false;
    }
  }

  /** Let go of everything. */
  closeAll() {
    this.giveUp();
    [...this.held.keys()].forEach((capture) => this.close(capture));
    this.#dropScreen();
    this.feed.close();
  }

  /** Nobody waits for what the person is still being asked for: it is let go of as soon as there is an answer. */
  giveUp() {
    this.opening.clear();
  }

  /** @param {number} capture */
  close(capture) {
    this.opening.delete(capture);
    const held = this.held.get(capture);
    if (!held) return;
    this.held.delete(capture);
    this.#release(held);
    if (held.device === "screen") this.#dropScreen();
    this.command({ type: "drop", capture });
    this.changed();
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

  /** @param {Record<string, any>} wish */
  async #open(wish) {
    const { capture, device, device_id: deviceId, constraints } = wish;
    if (!wish.track && !this.opening.has(capture)) throw new Obstacle(NOT_HELD);
    const track = wish.track ?? (await this.#obtain(device, deviceId, constraints));
    if (!this.opening.delete(capture)) {
      track.stop();
      if (device === "screen") this.#dropScreen();
      throw new Obstacle(NOT_HELD);
    }
    /** @type {Held} */
    const held = { capture, device, deviceId, constraints, muted: false, track: null, detach: () => {} };
    this.held.set(capture, held);
    try {
      await this.#attach(held, track);
    } catch (error) {
      this.close(capture);
      throw error;
    }
    return this.#describe(held);
  }

  /**
   * A camera that is muted is let go of, so that its light goes off; a microphone goes on and is not listened to.
   * @param {number} capture
   * @param {boolean} muted
   */
  async #mute(capture, muted) {
    const held = this.#get(capture);
    held.muted = muted;
    if (held.device === "microphone" || held.device === "screen_audio" || held.device === "screen") {
      this.command({ type: "pause", capture, paused: muted });
    } else if (muted) {
      this.#release(held);
    } else if (!held.track) {
      const track = await this.#obtain(held.device, held.deviceId, held.constraints);
      if (held.muted || held.track || this.held.get(capture) !== held) track.stop();
      else await this.#attach(held, track);
    }
    this.changed();
    return {};
  }

  /**
   * @param {number} capture
   * @param {string} deviceId
   */
  async #switch(capture, deviceId) {
    const held = this.#get(capture);
    const track = await this.#obtain(held.device, deviceId, held.constraints);
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
    return this.#describe(held);
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
      this.#clear(device);
      this.command({ type: "say", header: { ...done, type: "done", request: header.request } });
    } catch (error) {
      const fault = error instanceof Obstacle ? error.fault : explainFault(error, device);
      // the sound of a screen is offered or not, that is nobody's fault; and what came too late is no news
      if (device !== "screen_audio" && fault !== NOT_HELD) this.#fail(fault, device);
      this.command({
        type: "say",
        header: { type: "failed", request: header.request, reason: fault.reason, detail: `${fault.title}. ${fault.detail}` },
      });
    }
  }

  // -------------------------------------------------------------------- devices

  /**
   * @param {CaptureDevice} device
   * @param {string} deviceId
   * @param {Record<string, any>} constraints
   * @returns {Promise<MediaStreamTrack>}
   */
  async #obtain(device, deviceId, constraints) {
    const fault = currentObstacle();
    if (fault) throw new Obstacle(fault);
    return this.#ask([device], async () => {
      if (device === "screen" || device === "screen_audio") return this.#obtainScreen(device, constraints);
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
   * @param {CaptureDevice} device
   * @param {Record<string, any>} constraints
   */
  async #obtainScreen(device, constraints) {
    if (device === "screen_audio") {
      const sound = this.clickedScreen?.getAudioTracks()[0];
      this.clickedScreen = null;
      if (!sound) throw new DOMException("it is shared without sound", "NotFoundError");
      return sound;
    }
    const clicked = this.clickedScreen?.getVideoTracks()[0]?.readyState === "live" ? this.clickedScreen : null;
    const { width, height, fps: frameRate } = constraints;
    const stream = clicked ?? (await navigator.mediaDevices.getDisplayMedia({ video: { width, height, frameRate }, audio: !!constraints.audio }));
    // its sound is asked for next, if at all
    const sound = new MediaStream(stream.getAudioTracks());
    this.#keepScreen(sound);
    if (!constraints.audio) this.#dropScreen();
    return stream.getVideoTracks()[0];
  }

  /**
   * @param {Held} held
   * @param {MediaStreamTrack} track
   */
  async #attach(held, track) {
    held.track = track;
    // only somebody else ends a track so that it tells: we stop it without a word
    track.onended = () => this.#lose(held);
    const detach = await this.feed.begin(held.capture, track);
    if (held.track !== track) {
      // it was let go of meanwhile
      detach();
      return;
    }
    const closeMicrophone = held.device === "microphone" ? noteMicrophone() : () => {};
    held.detach = () => {
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

  /** Nobody asks for it any more. */
  #dropScreen() {
    this.clickedScreen?.getTracks().forEach((track) => track.stop());
    this.clickedScreen = null;
  }

  /** @param {Held} held */
  #lose(held) {
    this.close(held.capture);
    const stopped = held.device === "screen" || held.device === "screen_audio";
    const fault = stopped ? { reason: "closed", title: "The screen is not shared any more", detail: "" } : explainLoss(held.device);
    if (!stopped) this.#fail(fault, held.device);
    const detail = `${fault.title}. ${fault.detail}`.trim();
    this.command({ type: "say", header: { type: "ended", capture: held.capture, reason: fault.reason, detail } });
  }

  /** @param {Held} held */
  #describe(held) {
    const { width = 0, height = 0, deviceId = "" } = held.track?.getSettings() ?? {};
    // no encoder takes an odd side
    return { width: width & ~1, height: height & ~1, device_id: deviceId, label: (held.track?.label ?? "").slice(0, 200) };
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

const NOT_HELD = { reason: "closed", title: "It is not captured any more", detail: "" };
const SCREEN = { width: 1920, height: 1080, frameRate: 30 };
