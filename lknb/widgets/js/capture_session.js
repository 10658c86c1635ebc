// One capturing widget in one page: its lane, its Worker, and the devices of the page.

import { DeviceSet } from "./capture_device.js";
import { currentObstacle } from "./device_list.js";
import { Dialer } from "./dialer.js";
import { CAPTURE_WORKER_SOURCE } from "./inserted.js";
import { followKernel } from "./kernel_watch.js";
import { thisPage } from "./page.js";
import { currentSpeaker } from "./speaker_choice.js";

/** @typedef {import("./device_fault.js").CaptureDevice} CaptureDevice */
/**
 * @typedef {object} CaptureView
 * @property {() => void} update
 * @property {() => void} refreshDevices
 * @property {(capture: number, level: number) => void} hearLevel
 * @property {() => boolean} isDisconnected
 */
/**
 * What finds a lane.
 * @typedef {object} CaptureDialer
 * @property {string} client
 * @property {() => void} start
 * @property {() => void} stop
 * @property {() => void} dispose
 * @property {(name: LaneName) => void} opened
 * @property {(name: LaneName, opened: boolean) => void} closed
 */

/** A view that is rendered again, as JupyterLab does when an output is updated, comes back within this. */
const CAPTURE_LINGER_MS = 2_000;

export class CaptureSession {
  /**
   * @param {WidgetModel} model
   * @param {(listener: import("./dialer.js").Listener) => CaptureDialer} [dial]
   */
  constructor(model, dial = (listener) => new Dialer(model, listener)) {
    this.model = model;
    this.dialer = dial({
      open: (way, transfer) => this.#open(way, transfer),
      wait: (detail) => this.#become("connecting", detail),
      end: (detail) => this.#become("ended", detail || "The room is not connected any more."),
      fail: ({ title, detail }) => this.#become("ended", [title, detail].filter(Boolean).join(". ")),
      lose: () => this.#orphan(),
    });
    this.devices = new DeviceSet((command, transfer = []) => this.command(command, transfer), () => this.#update());
    /** To the camera page, for a page that cannot capture. @type {{ port: number, ticket: string } | null} */
    this.link = null;
    /** What the core says that is not about devices. @type {(header: Record<string, any>) => void} */
    this.onWord = () => {};
    /** @type {Set<CaptureView>} */
    this.views = new Set();
    /** @type {"connecting" | "open" | "ended"} */
    this.state = "connecting";
    this.detail = "";
    /** What the kernel refused. */
    this.refusal = "";
    /** @type {Worker | null} */
    this.worker = null;
    this.started = false;
    this.starts = 0;
    this.orphaned = false;
    /** Jupyter says that the kernel is another one now. */
    this.isKernelGone = false;
    this.linger = 0;
    this.onMessage = (/** @type {any} */ content) => this.#hearKernel(content);
    this.onShown = () => this.#update();
    this.onComm = () => setTimeout(() => this.#checkComm());
    model.on("msg:custom", this.onMessage);
    model.on("change:_shown", this.onShown);
    model.on("comm_live_update", this.onComm);
    this.unfollow = followKernel(model, () => {
      this.isKernelGone = true;
      this.#checkComm();
    });
    this.onDevices = () => {
      this.command({ type: "say", header: { type: "devices_changed" } });
      this.views.forEach((view) => view.refreshDevices());
    };
    navigator.mediaDevices?.addEventListener("devicechange", this.onDevices);
    this.onSpeaker = () => this.command({ type: "say", header: { type: "speaker", device_id: currentSpeaker() } });
    thisPage().changes.addEventListener("speaker", this.onSpeaker);
  }

  /** For the core each start is another page: what it hears late of a lane of before is not about this one. */
  get name() {
    return `${this.dialer.client}-${this.starts}`;
  }

  /** What keeps this page from capturing anything. */
  get obstacle() {
    return currentObstacle();
  }

  /** @param {CaptureView} view */
  attach(view) {
    this.views.add(view);
    clearTimeout(this.linger);
    if (!this.started && this.#checkComm()) this.start();
  }

  /** @param {CaptureView} view */
  detach(view) {
    this.views.delete(view);
    // without a view there is no mark that shows what is live
    if (!this.views.size) this.linger = setTimeout(() => this.stop(), CAPTURE_LINGER_MS);
  }

  dispose() {
    clearTimeout(this.linger);
    this.stop();
    this.dialer.dispose();
    this.model.off("msg:custom", this.onMessage);
    this.model.off("change:_shown", this.onShown);
    this.model.off("comm_live_update", this.onComm);
    this.unfollow?.();
    navigator.mediaDevices?.removeEventListener("devicechange", this.onDevices);
    thisPage().changes.removeEventListener("speaker", this.onSpeaker);
  }

  start() {
    this.started = true;
    this.starts += 1;
    this.dialer.start();
  }

  /** No lane, no Worker, no device. */
  stop() {
    this.started = false;
    this.dialer.stop();
    this.devices.closeAll();
    this.command({ type: "shut" });
    const { worker } = this;
    this.worker = null;
    // its last words to the lane are on their way
    setTimeout(() => worker?.terminate(), 100);
  }

  /**
   * The person pressed a button.
   * @param {CaptureDevice | "room"} device
   * @param {"on" | "off" | "switch" | "leave"} action
   * @param {string} [deviceId]
   */
  click(device, action, deviceId = "") {
    this.refusal = "";
    this.command({ type: "say", header: { type: "click", device, action, device_id: deviceId } });
    this.#update();
  }

  /**
   * The page has another speaker, or not the one that was chosen.
   * @param {import("./device_fault.js").DeviceFault | null} fault
   */
  judgeSpeaker(fault) {
    const { devices } = this;
    if (fault) devices.fault = { ...fault, device: "speaker" };
    else if (devices.fault?.device === "speaker") devices.fault = null;
    this.#update();
  }

  /** The person wants to be in the room again, which has no lane until then. */
  join() {
    this.refusal = "";
    this.devices.fault = null;
    try {
      this.model.send({ type: "join", client: this.name });
      this.#update();
    } catch {
      // the comm is closed
      this.#orphan();
    }
  }

  /**
   * @param {CaptureCommand} command
   * @param {Transferable[]} [transfer]
   */
  command(command, transfer = []) {
    this.worker?.postMessage(command, transfer);
  }

  /**
   * @param {import("./channel.js").Way} way
   * @param {Transferable[]} transfer
   */
  #open(way, transfer) {
    if (!this.worker) {
      const url = URL.createObjectURL(new Blob([CAPTURE_WORKER_SOURCE], { type: "text/javascript" }));
      const worker = new Worker(url);
      worker.onmessage = ({ data }) => {
        // some browsers fetch the text late; the first word of the Worker shows that it has it
        if (data.type === "ready") URL.revokeObjectURL(url);
        else if (worker === this.worker) this.#hear(data);
      };
      worker.onerror = (event) => this.#become("ended", event.message || "This page does not allow a Worker.");
      this.worker = worker;
    }
    this.command({ type: "lane", way, client: this.name, able: !this.obstacle }, transfer);
  }

  /** @param {CaptureEvent} event */
  #hear(event) {
    if (event.type === "command") this.#obey(event.header);
    else if (event.type === "level") this.views.forEach((view) => view.hearLevel(event.capture, event.level));
    else if (event.type === "broken") this.devices.breakOff(event.capture, event.codec);
    else if (event.type === "release") this.devices.closeAll();
    else if (event.type === "opened") {
      this.dialer.opened(event.name);
      this.onSpeaker();
      this.#become("open");
    } else if (event.type === "closed") {
      if (event.opened) {
        // the core takes what it waits for to have failed
        this.devices.giveUp();
        this.#become("connecting");
      }
      if (this.#checkComm()) this.dialer.closed(event.name, event.opened);
    }
  }

  /** @param {Record<string, any>} header */
  #obey(header) {
    this.devices.handle(header);
    this.onWord(header);
    if (header.type !== "link") return;
    this.link = { port: header.port, ticket: header.ticket };
    this.#update();
  }

  /** @param {any} content */
  #hearKernel(content) {
    if (content?.type === "again" && this.started) {
      // the room was joined anew, and has another lane; why it could not be before is of no interest any more
      this.refusal = "";
      this.stop();
      this.start();
    }
    if (content?.type !== "refused" || content.hello !== undefined || content.client !== this.name) return;
    this.refusal = content.detail;
    this.#update();
  }

  /** Whether the kernel that made the widget is still there. A host that does not tell is believed to be alive. */
  #checkComm() {
    const orphaned = this.isKernelGone || [...this.views].some((view) => view.isDisconnected());
    if (orphaned) this.#orphan();
    else if (this.orphaned && this.views.size) this.start();
    this.orphaned = orphaned;
    return !orphaned;
  }

  #orphan() {
    this.stop();
    this.#become("ended", "The kernel is gone. Run the cell again.");
  }

  /**
   * @param {"connecting" | "open" | "ended"} state
   * @param {string} [detail]
   */
  #become(state, detail = "") {
    this.state = state;
    this.detail = detail;
    this.#update();
  }

  #update() {
    this.views.forEach((view) => view.update());
  }
}
