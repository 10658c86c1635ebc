// A widget without video: one model, its views, and the kernel at the other end.

import { keepKeys, make } from "./dom.js";
import { Hearing } from "./hear.js";

/**
 * @typedef {object} View one view of a control
 * @property {(shown: any) => void} update
 * @property {(message: any) => void} [hear]
 * @property {() => void} [dispose]
 */

/** How long a refusal is to be read. */
const REFUSAL_MS = 6_000;

/** The kernel's end of one model in this page. */
export class Control {
  /** @param {WidgetModel} model */
  constructor(model) {
    this.model = model;
    this.viewer = Array.from(crypto.getRandomValues(new Uint32Array(2)), (word) => word.toString(16)).join("-");
    /** @type {Set<Frame>} */
    this.frames = new Set();
    this.onMessage = (/** @type {any} */ content) => this.frames.forEach((frame) => frame.hear(content));
    this.onShown = () => this.frames.forEach((frame) => frame.update());
    model.on("msg:custom", this.onMessage);
    model.on("change:_shown", this.onShown);
  }

  dispose() {
    this.model.off("msg:custom", this.onMessage);
    this.model.off("change:_shown", this.onShown);
  }

  /** @param {Frame} frame */
  attach(frame) {
    this.frames.add(frame);
    // each view begins with what it missed, such as the past of a plot
    this.send({ type: "hello", viewer: this.viewer });
  }

  /** @param {Frame} frame */
  detach(frame) {
    this.frames.delete(frame);
    if (!this.frames.size) this.send({ type: "bye", viewer: this.viewer });
  }

  /** @param {Record<string, unknown>} content */
  act(content) {
    if (!this.send({ ...content, type: "act" })) {
      this.onMessage({ type: "refused", detail: "Its kernel is gone. Run the cell again." });
    }
  }

  /** @param {Record<string, unknown>} content */
  send(content) {
    try {
      this.model.send(content);
      return true;
    } catch {
      // the comm of a kernel that was restarted, or of a widget that was closed, refuses to send
      return false;
    }
  }
}

/** One view: the box around it, and the words for what the kernel refused. */
class Frame {
  /**
   * @param {Control} control
   * @param {HTMLElement} host
   * @param {new (control: Control, root: HTMLElement) => View} Shape
   */
  constructor(control, host, Shape) {
    this.control = control;
    host.classList.add("lknb-control-host");
    this.body = make("div", "lknb-control-body");
    this.refusal = make("div", "lknb-refusal", { role: "alert" });
    this.refusal.hidden = true;
    this.root = make("div", "lknb-control", {}, this.body, this.refusal);
    keepKeys(this.root);
    host.append(this.root);
    this.timer = 0;
    this.view = new Shape(control, this.body);
    this.hearing = new Hearing(control.model, this.root);
    this.update();
    control.attach(this);
  }

  dispose() {
    clearTimeout(this.timer);
    this.control.detach(this);
    this.view.dispose?.();
    this.hearing.dispose();
    this.root.remove();
  }

  update() {
    this.view.update(this.control.model.get("_shown"));
  }

  /** @param {any} content */
  hear(content) {
    if (content?.type !== "refused") {
      this.view.hear?.(content);
      return;
    }
    this.refusal.textContent = content.detail;
    this.refusal.hidden = false;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.refusal.hidden = true;
    }, REFUSAL_MS);
    // a switch that was thrown goes back to what is so
    this.update();
  }
}

/**
 * What anywidget calls a widget, made of one kind of view.
 * @param {new (control: Control, root: HTMLElement) => View} Shape
 */
export function controlWidget(Shape) {
  return () => {
    /** @type {Control} */
    let control;
    return {
      /** @param {{ model: WidgetModel }} context */
      initialize({ model }) {
        control = new Control(model);
        return () => control.dispose();
      },
      /** @param {{ model: WidgetModel, el: HTMLElement }} context */
      render({ el }) {
        const frame = new Frame(control, el, Shape);
        return () => frame.dispose();
      },
    };
  };
}
