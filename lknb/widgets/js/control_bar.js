// The buttons of a call: camera, microphone, screen, leave or join; what is live, and in words what is wrong.

import { listDevices } from "./device_list.js";
import { SPEAKER, drawing, make, setText } from "./dom.js";
import { SpeakerMenu } from "./speaker_menu.js";

/** @typedef {import("./device_fault.js").CaptureDevice} CaptureDevice */
/** "page": another page captures it, or another view of this one. @typedef {"off" | "on" | "muted" | "page"} DeviceState */
/** @typedef {import("./capture_session.js").CaptureSession} CaptureSession */

const CAMERA_LINES = "M15 11l6-4v10l-6-4M5 6h8a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2V8a2 2 0 0 1 2-2z";
const CAMERA_OFF_LINES =
  "M3 3l18 18M15 11l6-4v10l-2.2-1.5M9.5 6H13a2 2 0 0 1 2 2v3.5M14.4 17.2A2 2 0 0 1 13 18H5a2 2 0 0 1-2-2V8a2 2 0 0 1 1.4-1.9";
const MICROPHONE_LINES = "M12 3.5a2.5 2.5 0 0 1 2.5 2.5v5a2.5 2.5 0 0 1-5 0V6A2.5 2.5 0 0 1 12 3.5zM6 11a6 6 0 0 0 12 0M12 17v3.5M9 20.5h6";
const MICROPHONE_OFF_LINES =
  "M3 3l18 18M9.5 9.5V11a2.5 2.5 0 0 0 4 2M14.5 10.5V6a2.5 2.5 0 0 0-4.9-.7M6 11a6 6 0 0 0 9.6 4.8M18 11a6 6 0 0 1-.7 2.8M12 17v3.5M9 20.5h6";
const SCREEN_LINES = "M4 5h16v11H4zM9 20h6M12 16v4M12 13V8M9.8 10.2L12 8l2.2 2.2";
const OPEN_LINES = "M11 5H5v14h14v-6M14 4h6v6M20 4l-9 9";
const LEAVE_LINES = "M14 4H6v16h8M10 12h10M17 9l3 3-3 3";
const JOIN_LINES = "M10 4h8v16h-8M4 12h10M11 9l3 3-3 3";

/** What a click waits for at most before the button can be pressed again. */
const PENDING_MS = 10_000;

/**
 * What a click does in each state, and what is drawn while it sends and while it does not.
 * @type {Record<string, Record<DeviceState | "live" | "rest", string>>}
 */
const WORDS = {
  camera: {
    off: "Turn camera on",
    muted: "Turn camera on",
    on: "Turn camera off",
    page: "Use the camera here",
    live: CAMERA_LINES,
    rest: CAMERA_OFF_LINES,
  },
  microphone: {
    off: "Turn microphone on",
    muted: "Unmute microphone",
    on: "Mute microphone",
    page: "Use the microphone here",
    live: MICROPHONE_LINES,
    rest: MICROPHONE_OFF_LINES,
  },
  screen: {
    off: "Share screen",
    muted: "Share screen",
    on: "Stop sharing the screen",
    page: "Share a screen here",
    live: SCREEN_LINES,
    rest: SCREEN_LINES,
  },
};

/**
 * A device in the words of the kernel, for a page that does not capture it. One that cannot speaks for the camera page.
 * @param {string | undefined} told
 * @param {boolean} helped
 * @returns {DeviceState}
 */
export function stateElsewhere(told, helped) {
  if (told === "page" || told === "page_muted") return !helped ? "page" : told === "page" ? "on" : "muted";
  return told === "on" || told === "muted" ? told : "off";
}

/** A button of a device, and the menu beside it. */
class DeviceButton {
  /**
   * @param {CaptureDevice} device
   * @param {ControlBarView} bar
   */
  constructor(device, bar) {
    this.device = device;
    this.bar = bar;
    /** @type {DeviceState} */
    this.state = "off";
    this.pending = "";
    this.pendingTimer = 0;
    this.lines = "";
    this.icon = make("span", "lknb-bar-icon");
    this.label = make("span", "lknb-bar-label");
    this.button = make("button", "lknb-bar-button", { type: "button" }, this.icon, this.label);
    this.button.addEventListener("click", () => this.#click());
    this.menu = device === "screen" ? null : make("select", "lknb-bar-menu", { "aria-label": `Choose a ${device}`, title: `Choose a ${device}` });
    this.menu?.addEventListener("change", () => bar.session.click(device, "switch", this.menu?.value));
    this.element = make("div", "lknb-bar-device", { "data-device": device }, this.button);
    if (device === "microphone") {
      this.meter = make("span", "lknb-bar-meter", { "aria-hidden": "true" });
      this.button.append(this.meter);
    }
    if (this.menu) this.element.append(this.menu);
  }

  update() {
    const { session, shown, helped } = this.bar;
    const held = session.devices.find(this.device);
    const state = held ? (held.muted ? "muted" : "on") : stateElsewhere(shown[this.device], helped);
    if (state !== this.state || session.devices.fault || session.refusal) this.#settle();
    this.state = state;
    const words = WORDS[this.device];
    const isOn = state === "on";
    // a screen is shared right after a click, in the page that shares it
    const isOutOfReach = helped ? this.device === "screen" && !isOn : !!session.obstacle;
    const asking = session.devices.asking.has(this.device);
    this.element.dataset.state = state;
    this.element.dataset.live = String(!!held && isOn);
    this.button.disabled = session.state !== "open" || isOutOfReach || !shown.connected || (!!this.pending && !asking);
    this.button.setAttribute("aria-pressed", String(isOn));
    this.button.classList.toggle("lknb-bar-busy", !!this.pending || asking);
    setText(this.label, words[this.state]);
    this.button.title = helped && isOutOfReach ? "Share the screen on the camera page" : words[this.state];
    const lines = isOn ? words.live : words.rest;
    if (lines !== this.lines) this.icon.replaceChildren(drawing(lines));
    this.lines = lines;
    if (!this.menu) return;
    this.menu.hidden = this.menu.options.length < 2 || !!session.obstacle;
    // a choice would reach nobody
    this.menu.disabled = session.state !== "open" || !shown.connected;
  }

  /** @param {{ kind: string, device_id: string, label: string }[]} devices */
  list(devices) {
    const { menu } = this;
    if (!menu) return;
    const own = devices.filter(({ kind, device_id: id }) => kind === this.device && id);
    const texts = own.map(({ device_id: id, label }, index) => {
      const option = make("option", "", { value: id });
      option.textContent = label || `${this.device} ${index + 1}`;
      return option;
    });
    menu.replaceChildren(...texts);
    const used = this.bar.session.devices.find(this.device)?.track?.getSettings().deviceId;
    if (used) menu.value = used;
  }

  /** @param {number} level */
  hear(level) {
    this.meter?.style.setProperty("--lknb-level", level.toFixed(2));
  }

  async #click() {
    const { session } = this.bar;
    const action = this.state === "on" ? "off" : "on";
    if (this.pending) return;
    this.pending = action;
    this.pendingTimer = setTimeout(() => {
      this.#settle();
      this.update();
    }, PENDING_MS);
    session.devices.fault = null;
    // the browser wants to be asked within the click itself
    if (this.device === "screen" && action === "on" && !(await session.devices.clickScreen())) {
      this.#settle();
      this.update();
      return;
    }
    session.click(this.device, action);
  }

  #settle() {
    clearTimeout(this.pendingTimer);
    this.pending = "";
  }
}

/** One view of a `ControlBar`. */
export class ControlBarView {
  /**
   * @param {CaptureSession} session
   * @param {WidgetModel} model
   * @param {HTMLElement} host
   * @param {boolean} [isHeard] whether this page plays the room
   */
  constructor(session, model, host, isHeard = false) {
    this.session = session;
    this.model = model;
    this.host = host;
    this.isHeard = isHeard;
    host.classList.add("lknb-bar-host");
    this.buttons = [new DeviceButton("microphone", this), new DeviceButton("camera", this), new DeviceButton("screen", this)];
    this.mark = make("span", "lknb-bar-mark", {}, make("span", "lknb-bar-dot", { "aria-hidden": "true" }), "Live");
    this.leave = make("button", "lknb-bar-button lknb-bar-leave", { type: "button", title: "Leave the room" }, make("span", "lknb-bar-icon", {}, drawing(LEAVE_LINES)), make("span", "lknb-bar-label", {}, "Leave"));
    this.leave.addEventListener("click", () => session.click("room", "leave"));
    // the one thing to do then: its name stays where others have room for their drawing only
    this.join = make("button", "lknb-bar-button lknb-bar-join", { type: "button", title: "Join the room again" }, make("span", "lknb-bar-icon", {}, drawing(JOIN_LINES)), "Join");
    this.join.addEventListener("click", () => this.#joinAgain());
    this.joiningTimer = 0;
    this.status = make("div", "lknb-bar-status", { role: "status" });
    this.title = make("div", "lknb-bar-title");
    this.detail = make("div", "");
    this.open = make("a", "lknb-bar-button lknb-bar-open", { target: "_blank", rel: "noopener" }, make("span", "lknb-bar-icon", {}, drawing(OPEN_LINES)), "Open camera page");
    this.open.addEventListener("click", () => {
      this.wasOpened = true;
      this.update();
    });
    this.hint = make("div", "lknb-bar-hint", { role: "status" });
    this.wasOpened = false;
    this.fault = make("div", "lknb-bar-fault", { role: "alert" }, this.title, this.detail);
    this.speakers = new SpeakerMenu("lknb-bar-menu", (fault) => session.judgeSpeaker(fault));
    this.speaker = make("div", "lknb-bar-speaker", {}, make("span", "lknb-bar-icon", {}, drawing(SPEAKER)), this.speakers.menu);
    const row = make("div", "lknb-bar-row", { role: "group", "aria-label": "Call" }, ...this.buttons.map(({ element }) => element), this.speaker, this.mark, this.leave, this.join);
    this.ask = this.#makeAsk();
    this.root = make("div", "lknb-bar", {}, row, this.ask, this.status, this.fault);
    host.append(this.root);
    this.known = "";
    session.attach(this);
    this.update();
    this.refreshDevices();
  }

  /** @returns {Record<string, any>} */
  get shown() {
    return this.model.get("_shown") ?? {};
  }

  /** Whether the camera page is open, and captures in place of this page. */
  get helped() {
    return !!this.session.obstacle?.tab && !!this.shown.tab;
  }

  dispose() {
    this.#settleJoin();
    this.speakers.dispose();
    this.session.detach(this);
    this.root.remove();
  }

  #joinAgain() {
    this.joiningTimer = setTimeout(() => {
      this.#settleJoin();
      this.update();
    }, PENDING_MS);
    this.session.join();
  }

  #settleJoin() {
    clearTimeout(this.joiningTimer);
    this.joiningTimer = 0;
  }

  #explainOutside() {
    if (this.joiningTimer) return "Joining…";
    // the camera page is not told: its way in is that of the notebook
    if (this.shown.can_join ?? true) return "Not in the room any more.";
    return "Not in a room yet. Connect first, in a cell: room = await lknb.connect(...), then show the buttons of that room.";
  }

  /** Words and buttons for a call in a cell that cannot have a screen without a click. */
  #makeAsk() {
    const share = make("button", "lknb-bar-button", { type: "button" }, "Share screen");
    share.addEventListener("click", () => this.session.devices.clickScreen());
    const refuse = make("button", "lknb-bar-button", { type: "button" }, "Not now");
    refuse.addEventListener("click", () => this.session.devices.screen.refuse());
    const words = make("span", "", {}, "The notebook asks to share your screen. Your browser wants a click first.");
    return make("div", "lknb-bar-ask lknb-bar-row", { role: "alert" }, words, share, refuse);
  }

  isDisconnected() {
    return this.host.classList.contains("jupyter-widgets-disconnected");
  }

  update() {
    const { session, shown, helped } = this;
    this.buttons.forEach((button) => button.update());
    this.speaker.hidden = !this.isHeard || !this.speakers.isUseful || !!session.obstacle;
    const held = [...session.devices.held.values()];
    const here = held.filter((it) => !it.muted && it.track).map((it) => it.device.replace("screen_audio", "screen sound"));
    const live = helped ? this.buttons.map(({ device }) => device).filter((device) => shown[device] === "page") : here;
    this.mark.hidden = !live.length;
    this.mark.title = `${helped ? "The camera page" : "This page"} sends: ${live.join(", ")}`;
    this.leave.disabled = session.state !== "open";
    this.leave.hidden = !shown.connected;
    if (shown.connected || session.refusal) this.#settleJoin();
    const isGone = session.isKernelGone || this.isDisconnected();
    this.join.hidden = !shown.can_join;
    this.join.disabled = isGone || !!this.joiningTimer;
    this.join.classList.toggle("lknb-bar-busy", !!this.joiningTimer);
    const isWaiting = !!session.devices.screen.wanted;
    this.ask.hidden = !isWaiting;
    const asking = [...session.devices.asking].filter((device) => device !== "screen" || !isWaiting);
    const waits = session.state === "connecting" ? session.detail || "Connecting…" : session.state === "ended" ? session.detail : "";
    const asks = asking.length ? `Your browser may ask about the ${asking.join(" and the ").replace("screen_audio", "sound")}: allow it there.` : "";
    const helps = helped ? "Camera and microphone are those of the camera page, in your browser." : "";
    setText(this.status, isGone ? session.detail : shown.connected ? asks || waits || helps : this.#explainOutside());
    this.status.hidden = !this.status.textContent;
    const fault = (helped ? null : session.obstacle) ?? session.devices.fault;
    setText(this.title, fault?.title ?? (session.refusal ? "That did not work" : ""));
    setText(this.detail, fault?.detail ?? session.refusal);
    this.fault.hidden = !fault && !session.refusal;
    this.#offerTab(!!fault && !!session.obstacle?.tab && shown.connected);
    // with the first permission the devices get their names
    const known = held.map((it) => `${it.device} ${!!it.track}`).join();
    if (known !== this.known) {
      this.known = known;
      this.refreshDevices();
    }
  }

  /** @param {boolean} offered */
  #offerTab(offered) {
    const { link } = this.session;
    if (!offered) {
      this.wasOpened = false;
      this.open.remove();
      this.hint.remove();
      return;
    }
    if (!this.open.parentNode) this.fault.append(this.open, this.hint);
    this.hint.hidden = !this.wasOpened;
    this.open.setAttribute("aria-disabled", String(!link));
    if (!link) return;
    // it works once, and another one comes in time
    this.open.href = `http://127.0.0.1:${link.port}/capture#${link.ticket}`;
    setText(
      this.hint,
      `If no page comes in your browser, the kernel is on another machine. Forward its port ${link.port} to yours (VS Code: ` +
        `“Ports”; else ssh -L ${link.port}:localhost:${link.port} host), then press the button again.`,
    );
  }

  /**
   * @param {number} capture
   * @param {number} level
   */
  hearLevel(capture, level) {
    if (this.session.devices.find("microphone")?.capture === capture) this.buttons[0].hear(level);
  }

  async refreshDevices() {
    if (this.session.obstacle) return;
    const devices = await listDevices();
    this.buttons.forEach((button) => button.list(devices));
    this.speakers.list(devices);
    this.update();
  }
}
