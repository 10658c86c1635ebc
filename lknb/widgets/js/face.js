// What one view looks like: a box of the track's shape with the picture in it, a name on it, and words where no picture is.

import { drawing, make } from "./dom.js";

/**
 * @typedef {object} Look
 * @property {TileState} state
 * @property {string} name
 * @property {string} title in place of the state's own words
 * @property {string} detail
 * @property {boolean} hasPicture whether the last picture may still be seen
 * @property {number} width
 * @property {number} height
 * @property {string} fit
 * @property {boolean} mirror
 */

/** @type {Record<TileState, string>} */
const TITLES = {
  connecting: "Connecting…",
  waiting: "Waiting for the first picture…",
  playing: "",
  muted: "Video is off",
  ended: "The video has ended",
  error: "No live video",
};

/** Lines on a grid of 24; a state without one shows that something is under way. @type {Partial<Record<TileState, string>>} */
const ICONS = {
  muted: "M3 3l18 18M15 11l6-4v10l-2.2-1.5M9.5 6H13a2 2 0 0 1 2 2v3.5M14.4 17.2A2 2 0 0 1 13 18H5a2 2 0 0 1-2-2V8a2 2 0 0 1 1.4-1.9",
  ended: "M4 6h16v12H4zM9.5 9.5l5 5M14.5 9.5l-5 5",
  error: "M12 4L2.5 20h19zM12 10v4.5M12 17.2v.3",
};

export class Face {
  /**
   * @param {HTMLElement} host the element the notebook gives the view
   * @param {() => void} onRetry
   */
  constructor(host, onRetry) {
    this.root = make("div", "lknb-video", { role: "group" });
    this.screen = make("div", "lknb-video-screen", { role: "img" });
    this.panel = make("div", "lknb-video-panel", {});
    this.icon = make("div", "lknb-video-icon", { "aria-hidden": "true" });
    this.status = make("div", "lknb-video-status", { role: "status" });
    this.title = make("div", "lknb-video-title", {});
    this.detail = make("div", "lknb-video-detail", {});
    this.retry = make("button", "lknb-video-retry", { type: "button" });
    this.retry.textContent = "Try again";
    this.retry.addEventListener("click", onRetry);
    // the name is in the label of the whole group already
    this.label = make("div", "lknb-video-name", { "aria-hidden": "true", dir: "auto" });
    this.status.append(this.title, this.detail);
    this.panel.append(this.icon, this.status, this.retry);
    this.root.append(this.screen, this.panel, this.label);
    host.append(this.root);
    this.shown = "";
  }

  /** @param {Look} look */
  show(look) {
    const { state, name, detail, hasPicture } = look;
    // a live region speaks whenever it is written to
    if (JSON.stringify(look) === this.shown) return;
    this.shown = JSON.stringify(look);
    this.root.dataset.state = state;
    this.root.dataset.picture = String(hasPicture);
    this.root.style.aspectRatio = `${look.width} / ${look.height}`;
    this.root.setAttribute("aria-label", name ? `Video of ${name}` : "Video");
    this.screen.setAttribute("aria-label", name ? `Picture of ${name}` : "Picture");
    this.screen.setAttribute("aria-hidden", String(!hasPicture));
    this.screen.dataset.fit = look.fit;
    this.screen.dataset.mirror = String(look.mirror);
    this.panel.hidden = state === "playing";
    this.title.textContent = look.title || TITLES[state];
    this.detail.textContent = detail;
    this.detail.hidden = !detail;
    this.retry.hidden = state !== "error";
    this.label.textContent = name;
    this.label.hidden = !name;
    this.icon.dataset.kind = state;
    this.#drawIcon(ICONS[state]);
  }

  /** @param {string | undefined} lines */
  #drawIcon(lines) {
    this.icon.replaceChildren();
    this.icon.classList.toggle("lknb-video-spinner", !lines);
    if (!lines) return;
    this.icon.append(drawing(lines));
  }
}
