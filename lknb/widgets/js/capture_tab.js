// The entry of the camera page: a tab of the browser that captures for a room whose notebook may not use cameras.

import { CaptureSession } from "./capture_session.js";
import { ControlBarView } from "./control_bar.js";
import { drawing, make, setText } from "./dom.js";
import { TabDialer } from "./tab_dialer.js";
import { TabModel } from "./tab_model.js";

/** @typedef {import("./device_fault.js").CaptureDevice} CaptureDevice */

const NOBODY_LINES = "M12 4a4 4 0 1 0 .01 0M4 21a8 8 0 0 1 16 0";

/** What is sent of one device, as in a mirror. */
class Mirror {
  /**
   * @param {CaptureSession} session
   * @param {CaptureDevice} device
   * @param {string} rest what is said while nothing is sent
   */
  constructor(session, device, rest) {
    this.session = session;
    this.device = device;
    this.video = make("video", "lknb-tab-video", { playsinline: "", "aria-label": `Your ${device}` });
    this.video.muted = true;
    this.rest = make("div", "lknb-tab-rest", {}, drawing(NOBODY_LINES), rest);
    this.element = make("div", "lknb-tab-mirror", { "data-device": device }, this.rest, this.video);
    /** @type {MediaStreamTrack | null} */
    this.track = null;
  }

  update() {
    const held = this.session.devices.find(this.device);
    const track = held?.muted ? null : held?.track ?? null;
    this.element.dataset.live = String(!!track);
    if (track === this.track) return;
    this.track = track;
    this.video.srcObject = track && new MediaStream([track]);
    // one that is let go of at once has nothing to play
    if (track) this.video.play().catch(() => {});
  }
}

/** What is around the buttons. */
class TabView {
  /**
   * @param {CaptureSession} session
   * @param {TabModel} model
   */
  constructor(session, model) {
    this.session = session;
    this.model = model;
    this.room = make("h1", "lknb-tab-room", { dir: "auto" });
    this.camera = new Mirror(session, "camera", "Your camera is off");
    this.screen = new Mirror(session, "screen", "");
    this.stage = make("div", "lknb-tab-stage", {}, this.camera.element, this.screen.element);
    this.bar = make("div", "");
    const about = make("p", "lknb-tab-about", {}, "Camera page of a notebook. What you turn on here is sent to the room, until you close this tab.");
    const sound = make("p", "lknb-tab-about", {}, "The room is heard where the notebook is, so this page cannot cancel its echo: use headphones.");
    document.body.append(make("main", "lknb-tab", {}, make("header", "lknb-tab-head", {}, this.room, about), this.stage, this.bar, sound));
    session.attach(this);
    this.update();
  }

  update() {
    const { room = "" } = this.model.get("_shown");
    setText(this.room, room || "Camera page");
    this.camera.update();
    this.screen.update();
    this.screen.element.hidden = !this.screen.track;
    const live = [...this.session.devices.held.values()].some((held) => !held.muted && held.track);
    document.title = `${live ? "● " : ""}${room ? `${room} · ` : ""}Camera page`;
  }

  refreshDevices() {}

  hearLevel() {}

  isDisconnected() {
    return false;
  }
}

function begin() {
  const model = new TabModel();
  /** @type {TabDialer | undefined} */
  let dialer;
  const session = new CaptureSession(model, (listener) => (dialer = new TabDialer(listener)));
  session.onWord = (header) => {
    if (header.ticket) dialer?.keep(header.ticket);
    if (header.type === "shown") model.set("_shown", header.shown);
    else if (header.type === "refused" || header.type === "again") model.tell("msg:custom", header);
  };
  const view = new TabView(session, model);
  new ControlBarView(session, model, view.bar);
}

begin();
