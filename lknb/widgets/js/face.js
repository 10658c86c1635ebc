// What one view looks like: a box of the track's shape with the picture in it, a name on it, and words where no picture is.

import { Badges } from "./badge.js";
import { drawing, keepKeys, make, setText } from "./dom.js";

/**
 * What the kernel knows of the track and its publisher; a tile of a participant has all of it.
 * @typedef {object} About
 * @property {"" | "absent" | "unsubscribed" | "forbidden" | "asked" | "ended"} standing why there is no track
 * @property {boolean} speaking
 * @property {"" | "on" | "muted" | "none"} microphone
 * @property {Record<string, [number, number]>} layers
 * @property {string} [initials] shown where no picture is
 * @property {"" | "poor" | "good" | "excellent" | "lost"} [connection]
 * @property {[number, number]} [shape] whatever the picture has
 * @property {"" | "on" | "off"} [focus] whether it is the large one of its grid; "" in none
 * @property {boolean} [live] whether a page of this notebook captures it
 */

/**
 * @typedef {object} Look
 * @property {FaceState} state
 * @property {string} name
 * @property {string} title in place of the state's own words
 * @property {string} detail
 * @property {boolean} hasPicture whether the last picture may still be seen
 * @property {number} width
 * @property {number} height
 * @property {string} fit
 * @property {boolean} mirror
 * @property {About} about
 * @property {{ width: number, height: number }} received the size of the pictures
 * @property {LaneName | ""} lane
 * @property {string} note why the picture is worse than it could be
 * @property {boolean} stats
 * @property {[number, number, number] | null} figures bits and frames a second, and the part that was lost
 */

/** @type {Record<FaceState, string>} */
const TITLES = {
  connecting: "Connecting…",
  waiting: "Waiting for the first picture…",
  playing: "",
  muted: "Video is off",
  absent: "No video",
  unsubscribed: "Not received",
  forbidden: "The publisher does not share this video with you",
  ended: "The video has ended",
  error: "No live video",
};

/** Lines on a grid of 24; a state without one shows that something is under way. @type {Partial<Record<FaceState, string>>} */
const ICONS = {
  muted: "M3 3l18 18M15 11l6-4v10l-2.2-1.5M9.5 6H13a2 2 0 0 1 2 2v3.5M14.4 17.2A2 2 0 0 1 13 18H5a2 2 0 0 1-2-2V8a2 2 0 0 1 1.4-1.9",
  unsubscribed: "M12 4v10M8 10.5l4 4 4-4M4.5 19.5h15",
  forbidden: "M7 10.5V8a5 5 0 0 1 10 0v2.5M5.5 10.5h13V20h-13zM12 14.2v2",
  ended: "M4 6h16v12H4zM9.5 9.5l5 5M14.5 9.5l-5 5",
  error: "M12 4L2.5 20h19zM12 10v4.5M12 17.2v.3",
};

/** What the button of a state says, and does. @type {Partial<Record<FaceState, [string, string]>>} */
const ACTIONS = { error: ["Try again", "retry"], unsubscribed: ["Subscribe", "subscribe"] };

/** States in which somebody is there, and only the picture is not. */
const QUIET = new Set(["muted", "absent"]);

export class Face {
  /**
   * @param {HTMLElement} host the element the notebook gives the view
   * @param {(action: string) => void} act "retry", "subscribe", "stats" or "focus"
   */
  constructor(host, act) {
    this.root = make("div", "lknb-video", { role: "group" });
    this.screen = make("div", "lknb-video-screen", { role: "img" });
    this.panel = make("div", "lknb-video-panel");
    this.icon = make("div", "lknb-video-icon", { "aria-hidden": "true" });
    this.status = make("div", "lknb-video-status", { role: "status" });
    this.title = make("div", "lknb-video-title");
    this.detail = make("div", "lknb-video-detail");
    this.action = make("button", "lknb-video-retry", { type: "button" });
    this.action.addEventListener("click", () => act(ACTIONS[this.state]?.[1] ?? ""));
    this.focus = make("button", "lknb-video-focus", { type: "button" });
    this.focus.addEventListener("click", () => act("focus"));
    this.status.append(this.title, this.detail);
    this.panel.append(this.icon, this.status, this.action);
    this.note = make("div", "lknb-video-note", { role: "note" });
    this.root.append(this.screen, this.focus, this.panel, this.note);
    this.badges = new Badges(this.root, act);
    keepKeys(this.root);
    host.append(this.root);
    /** @type {FaceState} */
    this.state = "connecting";
    this.shown = "";
    this.drawn = "";
  }

  /** @param {Look} look */
  show(look) {
    const { state, name, detail, hasPicture, about } = look;
    // a live region speaks whenever it is written to
    if (JSON.stringify(look) === this.shown) return;
    this.shown = JSON.stringify(look);
    this.state = state;
    const [width, height] = about.shape ?? [look.width, look.height];
    const initials = QUIET.has(state) || state === "unsubscribed" ? (about.initials ?? "") : "";
    this.root.dataset.state = state;
    this.root.dataset.picture = String(hasPicture);
    this.root.dataset.speaking = String(about.speaking);
    this.root.dataset.initials = String(Boolean(initials) && QUIET.has(state));
    this.root.style.aspectRatio = `${width} / ${height}`;
    const who = about.initials ? name : name && `Video of ${name}`;
    this.root.setAttribute("aria-label", `${who || "Video"}${about.speaking ? ", speaking" : ""}`);
    this.screen.setAttribute("aria-label", name ? `Picture of ${name}` : "Picture");
    this.screen.setAttribute("aria-hidden", String(!hasPicture));
    this.screen.dataset.fit = look.fit;
    this.screen.dataset.mirror = String(look.mirror);
    this.panel.hidden = state === "playing";
    setText(this.note, look.note);
    this.note.hidden = !look.note || state !== "playing";
    setText(this.title, look.title || TITLES[state]);
    setText(this.detail, detail);
    this.detail.hidden = !detail;
    this.action.hidden = !ACTIONS[state];
    setText(this.action, ACTIONS[state]?.[0] ?? "");
    this.focus.hidden = !about.focus;
    this.focus.setAttribute("aria-label", `Enlarge ${name}`);
    this.focus.setAttribute("aria-pressed", String(about.focus === "on"));
    this.icon.dataset.kind = state;
    this.#draw(initials, ICONS[state]);
    this.badges.show(look);
  }

  /**
   * @param {string} initials
   * @param {string | undefined} lines
   */
  #draw(initials, lines) {
    const drawn = initials || lines || "";
    this.icon.classList.toggle("lknb-video-spinner", !drawn && this.state !== "absent");
    this.icon.classList.toggle("lknb-video-initials", Boolean(initials));
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    this.icon.replaceChildren(...(initials ? [initials] : lines ? [drawing(lines)] : []));
  }
}
