// Cameras, microphones and screens of this page: taking them, letting go of them, and saying what went wrong. What they give
// goes to the Worker as it comes.

import { explainFault, explainLoss, findCaptureObstacle } from "./device_fault.js";
import { TAP_SOURCE } from "./inserted.js";
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
    /** @type {Set<number>} */
    this.cancelled = new Set();
    /** @type {MediaStream | null} */
    this.clickedScreen = null;
    /** @type {AudioContext | null} */
    this.context = null;
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
      if (this.clickedScreen !== stream) return;
      this.clickedScreen = null;
      stop(stream);
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
    [...this.held.keys()].forEach((capture) => this.close(capture));
    if (this.clickedScreen) stop(this.clickedScreen);
    this.clickedScreen = null;
    this.context?.close();
    this.context = null;
  }

  /** @param {number} capture */
  close(capture) {
    const held = this.held.get(capture);
    if (!held) {
      if (this.wishes.some((wish) => wish.capture === capture) || this.asking.size) this.cancelled.add(capture);
      return;
    }
    this.held.delete(capture);
    this.#release(held);
    this.command({ type: "drop", capture });
    this.changed();
  }

  // -------------------------------------------------------------------- what the core asks for

  /** @param {Record<string, any>} header */
  #wish(header) {
    this.wishes.push(header);
    if (this.wishes.length === 1) setTimeout(() => this.#take(this.wishes.splice(0)), TOGETHER_MS);
  }

  /** @param {Record<string, any>[]} wishes */
  async #take(wishes) {
    const camera = wishes.find((wish) => wish.device === "camera");
    const microphone = wishes.find((wish) => wish.device === "microphone");
    if (camera && microphone && !currentObstacle()) {
      try {
        // one question for both; what goes wrong is found out one by one
        const stream = await navigator.mediaDevices.getUserMedia({ video: cameraOf(camera), audio: microphoneOf(microphone) });
        camera.track = stream.getVideoTracks()[0];
        microphone.track = stream.getAudioTracks()[0];
      } catch {
        // asked again below
      }
    }
    await Promise.all(wishes.map((wish) => this.#answer(wish, () => this.#open(wish))));
  }

  /** @param {Record<string, any>} wish */
  async #open(wish) {
    const { capture, device, device_id: deviceId, constraints } = wish;
    const track = wish.track ?? (await this.#obtain(device, deviceId, constraints));
    if (this.cancelled.delete(capture)) {
      track.stop();
      throw new Obstacle(NOT_HELD);
    }
    /** @type {Held} */
    const held = { capture, device, deviceId, constraints, muted: false, track: null, detach: () => {} };
    this.held.set(capture, held);
    await this.#attach(held, track);
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
      if (held.muted || this.held.get(capture) !== held) track.stop();
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
    this.asking.add(device);
    this.changed();
    try {
      if (device === "screen" || device === "screen_audio") return await this.#obtainScreen(device, constraints);
      const wanted = { device_id: deviceId, constraints };
      const stream = await navigator.mediaDevices.getUserMedia(
        device === "camera" ? { video: cameraOf(wanted) } : { audio: microphoneOf(wanted) },
      );
      return stream.getTracks()[0];
    } finally {
      this.asking.delete(device);
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
    if (constraints.audio) this.#keepScreen(sound);
    else stop(sound);
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
    const detach = track.kind === "video" ? this.#feedVideo(held.capture, track) : await this.#feedAudio(held.capture, track);
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

  /**
   * @param {number} capture
   * @param {MediaStreamTrack} track
   */
  #feedVideo(capture, track) {
    if (typeof MediaStreamTrackProcessor !== "undefined") {
      const { readable } = new MediaStreamTrackProcessor({ track });
      this.command({ type: "video", capture, readable }, [readable]);
      return () => {};
    }
    const video = document.createElement("video");
    video.muted = true;
    video.srcObject = new MediaStream([track]);
    const grab = () => {
      if (!video.srcObject) return;
      const frame = new VideoFrame(video, { timestamp: Math.round(performance.now() * 1000) });
      this.command({ type: "frame", capture, frame }, [frame]);
      video.requestVideoFrameCallback(grab);
    };
    video.requestVideoFrameCallback(grab);
    video.play();
    return () => {
      video.srcObject = null;
    };
  }

  /**
   * @param {number} capture
   * @param {MediaStreamTrack} track
   */
  async #feedAudio(capture, track) {
    if (typeof MediaStreamTrackProcessor !== "undefined") {
      const { readable } = new MediaStreamTrackProcessor({ track });
      this.command({ type: "sound", capture, readable }, [readable]);
      return () => {};
    }
    const context = await this.#audioContext();
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
    if (this.context.state !== "running") this.context.resume();
    return this.context;
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

class Obstacle extends Error {
  /** @param {import("./device_fault.js").DeviceFault} fault */
  constructor(fault) {
    super(fault.title);
    this.fault = fault;
  }
}

const NOT_HELD = { reason: "closed", title: "It is not captured any more", detail: "" };
const SCREEN = { width: 1920, height: 1080, frameRate: 30 };

export function currentObstacle() {
  return findCaptureObstacle({
    protocol: location.protocol,
    secure: isSecureContext,
    mediaDevices: !!navigator.mediaDevices?.getUserMedia,
    webcodecs: typeof VideoEncoder !== "undefined" && typeof AudioEncoder !== "undefined",
  });
}

/** @param {Record<string, any>} wish */
export function cameraOf({ device_id: id, constraints: { width, height, fps } }) {
  return { ...(id ? { deviceId: { exact: id } } : {}), width, height, frameRate: fps };
}

/** @param {Record<string, any>} wish */
export function microphoneOf({ device_id: id, constraints }) {
  return {
    ...(id ? { deviceId: { exact: id } } : {}),
    echoCancellation: constraints.echo_cancellation,
    noiseSuppression: constraints.noise_suppression,
    autoGainControl: constraints.auto_gain_control,
  };
}

/** @type {Record<string, string>} */
const DEVICE_KINDS = { videoinput: "camera", audioinput: "microphone", audiooutput: "speaker" };

/** Devices of the page; without labels and with one of each kind at most before the first permission. */
export async function listDevices() {
  const fault = currentObstacle();
  if (fault) throw new Obstacle(fault);
  const found = await navigator.mediaDevices.enumerateDevices();
  return found
    .filter(({ kind, deviceId }) => kind in DEVICE_KINDS && deviceId !== "communications")
    .slice(0, 64)
    .map(({ kind, deviceId, label }) => ({ kind: DEVICE_KINDS[kind], device_id: deviceId, label: label.slice(0, 200) }));
}

/** @param {MediaStream} stream */
function stop(stream) {
  stream.getTracks().forEach((track) => track.stop());
}
