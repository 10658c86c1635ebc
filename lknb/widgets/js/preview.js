// A look in the mirror before a call, and menus of devices. Nothing leaves the page.

import { explainFault, explainLoss } from "./device_fault.js";
import { cameraOf, currentObstacle, isForbidden, listDevices, microphoneOf } from "./device_list.js";
import { make, setText } from "./dom.js";
import { KernelWatch } from "./kernel_watch.js";

const PREVIEW_KINDS = /** @type {("camera" | "microphone")[]} */ (["camera", "microphone"]);
const PREVIEW_SIZE = { width: 1280, height: 720, fps: 30 };
const PREVIEW_SOUND = { echo_cancellation: true, noise_suppression: true, auto_gain_control: true };
const METER_MS = 100;
/** Nobody could tell this page to let go of its devices any more. */
const KERNEL_GONE = { reason: "closed", title: "The kernel is gone", detail: "Run the cell again." };

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
    this.starts = 0;
    this.meterTimer = 0;
    this.isKernelGone = false;
    this.watch = new KernelWatch(model, () => this.#orphan());
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
    this.title = make("div", "lknb-bar-title");
    this.detail = make("div", "");
    this.fault = make("div", "lknb-bar-fault", { role: "alert" }, this.title, this.detail);
    const row = make("div", "lknb-bar-row", {}, this.start, ...this.menus.map(({ element }) => element));
    this.root = make("div", "lknb-bar lknb-preview", {}, this.screen, row, this.fault);
    host.append(this.root);
    this.onDevices = () => void this.refresh();
    this.onChosen = () => this.#choose();
    PREVIEW_KINDS.forEach((kind) => model.on(`change:${kind}`, this.onChosen));
    navigator.mediaDevices?.addEventListener("devicechange", this.onDevices);
    this.#fail(currentObstacle());
    this.#update();
    this.refresh();
  }

  dispose() {
    this.stop();
    this.watch.dispose();
    PREVIEW_KINDS.forEach((kind) => this.model.off(`change:${kind}`, this.onChosen));
    navigator.mediaDevices?.removeEventListener("devicechange", this.onDevices);
    this.root.remove();
  }

  async open() {
    const obstacle = this.isKernelGone ? KERNEL_GONE : currentObstacle();
    this.#fail(obstacle);
    if (obstacle) return;
    this.starts += 1;
    const number = this.starts;
    this.watch.start();
    const video = this.hasPicture ? cameraOf({ device_id: this.model.get("camera"), constraints: PREVIEW_SIZE }) : false;
    const audio = microphoneOf({ device_id: this.model.get("microphone"), constraints: PREVIEW_SOUND });
    try {
      const stream = await this.#take(video, audio);
      if (number !== this.starts) {
        stream.getTracks().forEach((track) => track.stop());
        return;
      }
      this.#release();
      this.stream = stream;
      stream.getTracks().forEach((track) => {
        track.onended = () => this.#lose(track.kind === "video" ? "camera" : "microphone");
      });
      this.video.srcObject = stream;
      this.video.play().catch(() => {});
      this.#measure(stream);
    } catch (error) {
      if (number !== this.starts) return;
      this.stop();
      this.#fail(explainFault(error, this.hasPicture ? "camera" : "microphone"));
    }
    this.#update();
    this.refresh();
  }

  /** A camera without a microphone is a picture all the same. */
  async #take(/** @type {MediaTrackConstraints | false} */ video, /** @type {MediaTrackConstraints} */ audio) {
    try {
      return await navigator.mediaDevices.getUserMedia({ video, audio });
    } catch (error) {
      if (!video || !(error instanceof DOMException) || error.name !== "NotFoundError") throw error;
      return navigator.mediaDevices.getUserMedia({ video });
    }
  }

  stop() {
    this.starts += 1;
    this.watch.stop();
    this.#release();
    this.#update();
  }

  /** @param {"camera" | "microphone"} device */
  async #lose(device) {
    this.stop();
    const isDenied = await isForbidden(device);
    this.#fail(isDenied ? explainFault(new DOMException("taken back", "NotAllowedError"), device) : explainLoss(device));
    this.refresh();
  }

  #orphan() {
    this.isKernelGone = true;
    this.stop();
    this.#fail(KERNEL_GONE);
  }

  #release() {
    clearInterval(this.meterTimer);
    this.context?.close();
    this.context = null;
    this.stream?.getTracks().forEach((track) => {
      track.onended = null;
      track.stop();
    });
    this.stream = null;
    this.video.srcObject = null;
    this.meter.style.setProperty("--lknb-level", "0");
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

  /** @param {import("./device_fault.js").DeviceFault | null} fault */
  #fail(fault) {
    setText(this.title, fault?.title ?? "");
    setText(this.detail, fault?.detail ?? "");
    this.fault.hidden = !fault;
  }

  #update() {
    const isLive = !!this.stream;
    this.root.dataset.live = String(isLive);
    const what = this.hasPicture ? "camera" : "microphone";
    setText(/** @type {Element} */ (this.start.firstElementChild), isLive ? `Stop the ${what}` : this.hasPicture ? "Show my camera" : "Try the microphone");
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
