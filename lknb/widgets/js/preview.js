// A look in the mirror before a call, and menus of devices. Nothing leaves the page.

import { explainFault, explainLoss } from "./device_fault.js";
import { cameraOf, currentObstacle, isForbidden, listDevices, microphoneOf, watchForbidden } from "./device_list.js";
import { make, setText } from "./dom.js";
import { KernelWatch } from "./kernel_watch.js";
import { SpeakerMenu } from "./speaker_menu.js";

/** @typedef {import("./device_fault.js").DeviceFault} DeviceFault */

const PREVIEW_KINDS = /** @type {("camera" | "microphone")[]} */ (["camera", "microphone"]);
const PREVIEW_SIZE = { width: 1280, height: 720, fps: 30 };
const PREVIEW_SOUND = { echo_cancellation: true, noise_suppression: true, auto_gain_control: true };
const METER_MS = 100;
const PREVIEW_LOSS_HELP = "It was unplugged, or its driver failed. Choose another one in the menu, or plug it in and start the preview anew.";
/** Nobody could tell this page to let go of its devices any more. @type {DeviceFault} */
const KERNEL_GONE = { reason: "closed", title: "The kernel is gone", detail: "Run the cell again." };

/** @param {MediaStreamTrack} track @returns {"camera" | "microphone"} */
function kindOf(track) {
  return track.kind === "video" ? "camera" : "microphone";
}

/** @param {MediaStreamConstraints} wanted */
async function obtainTracks(wanted) {
  return (await navigator.mediaDevices.getUserMedia(wanted)).getTracks();
}

class PreviewView {
  /**
   * @param {WidgetModel} model
   * @param {HTMLElement} host
   */
  constructor(model, host) {
    this.model = model;
    host.classList.add("lknb-bar-host");
    this.hasPicture = /** @type {boolean} */ (model.get("_picture"));
    /** @type {MediaStream | null} */
    this.stream = null;
    /** Ends following the permissions of what is shown. @type {(() => void)[]} */
    this.unwatch = [];
    this.starts = 0;
    this.meterTimer = 0;
    this.isKernelGone = false;
    this.watch = new KernelWatch(model, () => this.#orphan(), () => this.#adopt());
    /** @type {AudioContext | null} */
    this.context = null;
    this.video = make("video", "lknb-preview-video", { playsinline: "", "aria-label": "Your camera" });
    this.video.muted = true;
    this.screen = make("div", "lknb-preview-screen", {}, this.video);
    this.screen.hidden = !this.hasPicture;
    this.start = make("button", "lknb-bar-button", { type: "button" });
    this.start.addEventListener("click", () => (this.stream ? this.stop() : this.open()));
    this.meter = make("span", "lknb-bar-meter", { "aria-hidden": "true" });
    this.start.append(make("span", "lknb-preview-label"), this.meter);
    this.menus = PREVIEW_KINDS.map((kind) => this.#makeMenu(kind));
    this.fault = make("div", "lknb-bar-fault", { role: "alert" });
    /** By device, or of the page. @type {Map<string, DeviceFault>} */
    this.faults = new Map();
    this.speakers = new SpeakerMenu("lknb-preview-menu", (fault) => this.#tell({ speaker: fault }));
    this.speaker = make("label", "lknb-preview-choice", {}, "Speaker", this.speakers.menu);
    this.speaker.hidden = true;
    const row = make("div", "lknb-bar-row", {}, this.start, ...this.menus.map(({ element }) => element), this.speaker);
    this.root = make("div", "lknb-bar lknb-preview", {}, this.screen, row, this.fault);
    host.append(this.root);
    this.onDevices = () => void this.refresh();
    this.onChosen = () => this.#choose();
    PREVIEW_KINDS.forEach((kind) => model.on(`change:${kind}`, this.onChosen));
    navigator.mediaDevices?.addEventListener("devicechange", this.onDevices);
    this.#tell({ page: currentObstacle() });
    this.#update();
    this.refresh();
  }

  dispose() {
    this.stop();
    this.watch.dispose();
    this.speakers.dispose();
    PREVIEW_KINDS.forEach((kind) => this.model.off(`change:${kind}`, this.onChosen));
    navigator.mediaDevices?.removeEventListener("devicechange", this.onDevices);
    this.root.remove();
  }

  async open() {
    const obstacle = this.isKernelGone ? KERNEL_GONE : currentObstacle();
    this.#tell({ page: obstacle, camera: null, microphone: null });
    if (obstacle) return;
    this.starts += 1;
    const number = this.starts;
    this.watch.start();
    const { tracks, faults } = await this.#take();
    if (number !== this.starts) {
      tracks.forEach((track) => track.stop());
      return;
    }
    this.#release();
    if (tracks.length) this.#show(new MediaStream(tracks));
    else this.stop();
    this.#tell({ camera: null, microphone: null, ...faults });
    this.#update();
    this.refresh();
  }

  /**
   * Both are asked for in one question, and where that fails each by itself: a microphone that is denied, in use or not there
   * does not take the picture away.
   * @returns {Promise<{ tracks: MediaStreamTrack[], faults: Record<string, DeviceFault> }>}
   */
  async #take() {
    const kinds = this.hasPicture ? PREVIEW_KINDS : PREVIEW_KINDS.slice(1);
    /** @type {Record<string, DeviceFault>} */
    const faults = {};
    try {
      return { tracks: await obtainTracks(Object.assign({}, ...kinds.map((kind) => this.#wish(kind)))), faults };
    } catch (error) {
      const forbidden = await Promise.all(kinds.map(isForbidden));
      const isRefusal = error instanceof DOMException && error.name === "NotAllowedError";
      // whoever has just closed the question is not asked once more
      if (kinds.length === 1 || (isRefusal && !forbidden.includes(true))) {
        faults[kinds[0]] = explainFault(error, kinds[0]);
        return { tracks: [], faults };
      }
      const tracks = [];
      for (const [index, kind] of kinds.entries()) {
        try {
          if (forbidden[index]) throw new DOMException("denied", "NotAllowedError");
          tracks.push(...(await obtainTracks(this.#wish(kind))));
        } catch (own) {
          faults[kind] = explainFault(own, kind);
        }
      }
      return { tracks, faults };
    }
  }

  /** What is asked for of a kind. @param {"camera" | "microphone"} kind @returns {MediaStreamConstraints} */
  #wish(kind) {
    const id = this.model.get(kind);
    if (kind === "camera") return { video: cameraOf({ device_id: id, constraints: PREVIEW_SIZE }) };
    return { audio: microphoneOf({ device_id: id, constraints: PREVIEW_SOUND }) };
  }

  /** @param {MediaStream} stream */
  #show(stream) {
    this.stream = stream;
    stream.getTracks().forEach((track) => {
      track.onended = () => this.#lose(track);
      this.unwatch.push(watchForbidden(kindOf(track), () => this.#lose(track)));
    });
    this.video.srcObject = stream;
    this.video.play().catch(() => {});
    this.#measure(stream);
  }

  stop() {
    this.starts += 1;
    this.watch.stop();
    this.#release();
    this.#update();
  }

  /** The browser took a device away, or the person the permission; the other one goes on. @param {MediaStreamTrack} track */
  async #lose(track) {
    const device = kindOf(track);
    const { stream } = this;
    if (!stream?.getTracks().includes(track)) return;
    track.onended = null;
    track.stop();
    stream.removeTrack(track);
    if (device === "microphone") this.#quiet();
    if (!stream.getTracks().length) this.stop();
    this.#update();
    const { starts } = this;
    const fault = await this.#regain(device, () => starts === this.starts);
    // meanwhile it may have been taken again
    const isThere = this.stream?.getTracks().some((other) => other.kind === track.kind);
    if (fault !== undefined) this.#tell({ [device]: isThere ? null : fault });
    this.refresh();
  }

  /**
   * Chromium ends all that was asked for in one question when one of it is taken back: the other goes on. Why it cannot,
   * null when it does, undefined when nobody wants it any more.
   * @param {"camera" | "microphone"} device
   * @param {() => boolean} isWanted
   * @returns {Promise<DeviceFault | null | undefined>}
   */
  async #regain(device, isWanted) {
    try {
      if (await isForbidden(device)) throw new DOMException("taken back", "NotAllowedError");
      const other = PREVIEW_KINDS.find((kind) => kind !== device);
      if (!this.hasPicture || !other || !(await isForbidden(other))) return { ...explainLoss(device), detail: PREVIEW_LOSS_HELP };
      const tracks = await obtainTracks(this.#wish(device));
      if (!isWanted()) {
        tracks.forEach((track) => track.stop());
        return undefined;
      }
      const rest = this.stream?.getTracks() ?? [];
      this.#leave();
      this.watch.start();
      this.#show(new MediaStream([...rest, ...tracks]));
      this.#update();
      return null;
    } catch (error) {
      return explainFault(error, device);
    }
  }

  #orphan() {
    this.isKernelGone = true;
    this.stop();
    this.#tell({ page: KERNEL_GONE, camera: null, microphone: null });
  }

  /** The kernel was busy for long, and is there. Whoever wants to look on clicks again. */
  #adopt() {
    this.isKernelGone = false;
    this.#tell({ page: currentObstacle() });
    this.#update();
  }

  #quiet() {
    clearInterval(this.meterTimer);
    this.context?.close();
    this.context = null;
    this.meter.style.setProperty("--lknb-level", "0");
  }

  #release() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.#leave();
  }

  /** Show nothing any more; what was shown stays live. */
  #leave() {
    this.#quiet();
    this.unwatch.splice(0).forEach((end) => end());
    this.stream?.getTracks().forEach((track) => {
      track.onended = null;
    });
    this.stream = null;
    this.video.srcObject = null;
  }

  async refresh() {
    if (currentObstacle()) return;
    const devices = await listDevices();
    this.menus.forEach(({ kind, menu, element }) => {
      const own = devices.filter((device) => device.kind === kind && device.device_id);
      menu.replaceChildren(
        ...own.map(({ device_id: id, label }, index) => {
          const option = make("option", "", { value: id });
          option.textContent = label || `${kind} ${index + 1}`;
          return option;
        }),
      );
      const tracks = kind === "camera" ? this.stream?.getVideoTracks() : this.stream?.getAudioTracks();
      const used = this.model.get(kind) || tracks?.[0]?.getSettings().deviceId;
      if (used) menu.value = used;
      element.hidden = !own.length;
    });
    this.speakers.list(devices);
    this.speaker.hidden = !this.speakers.isUseful;
  }

  /** @param {"camera" | "microphone"} kind */
  #makeMenu(kind) {
    const menu = make("select", "lknb-preview-menu", {});
    menu.addEventListener("change", () => {
      this.model.set(kind, menu.value);
      this.model.save_changes();
      this.#choose();
    });
    const element = make("label", "lknb-preview-choice", {}, kind === "camera" ? "Camera" : "Microphone", menu);
    element.hidden = true;
    return { kind, menu, element };
  }

  #choose() {
    if (this.stream) this.open();
    else this.refresh();
  }

  /** @param {MediaStream} stream */
  #measure(stream) {
    if (!stream.getAudioTracks().length) return;
    const context = new AudioContext();
    const analyser = context.createAnalyser();
    context.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    this.context = context;
    this.meterTimer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
      const level = power > 0 ? Math.max(0, 1 + (10 * Math.log10(power)) / 60) : 0;
      this.meter.style.setProperty("--lknb-level", Math.min(1, level).toFixed(2));
    }, METER_MS);
  }

  /** What is wrong with these, null for nothing; the others stay. @param {Record<string, DeviceFault | null>} changed */
  #tell(changed) {
    for (const [what, fault] of Object.entries(changed)) {
      if (fault) this.faults.set(what, fault);
      else this.faults.delete(what);
    }
    const words = [...this.faults.values()].flatMap(({ title, detail }) => [make("div", "lknb-bar-title", {}, title), make("div", "", {}, detail)]);
    this.fault.replaceChildren(...words);
    this.fault.hidden = !words.length;
  }

  #update() {
    const hasCamera = !!this.stream?.getVideoTracks().length;
    this.root.dataset.live = String(hasCamera);
    const what = hasCamera ? "camera" : "microphone";
    setText(/** @type {Element} */ (this.start.firstElementChild), this.stream ? `Stop the ${what}` : this.hasPicture ? "Show my camera" : "Try the microphone");
    this.start.disabled = this.isKernelGone || !!currentObstacle();
  }
}

export default () => {
  /** @type {Set<PreviewView>} */
  const views = new Set();
  /** A cell that shows it was run in this page; it is not so for a notebook that is opened. */
  let isWanted = false;
  return {
    /** @param {{ model: WidgetModel }} context */
    initialize({ model }) {
      const hear = (/** @type {any} */ content) => {
        if (content?.type !== "start") return;
        isWanted = true;
        views.forEach((view) => view.open());
      };
      model.on("msg:custom", hear);
      return () => model.off("msg:custom", hear);
    },
    /** @param {{ model: WidgetModel, el: HTMLElement }} context */
    render({ model, el }) {
      const view = new PreviewView(model, el);
      views.add(view);
      if (isWanted) view.open();
      return () => {
        views.delete(view);
        view.dispose();
      };
    },
  };
};
