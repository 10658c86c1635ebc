// What stands on the picture beside the name: the size that comes, how good the connection is, and the figures.

import { drawing, make, setText } from "./dom.js";
import { bitrateText, layerName, sizeText } from "./figure.js";

/** @typedef {import("./face.js").Look} Look */

const MICROPHONE = "M12 3.5a2.8 2.8 0 0 1 2.8 2.8v5a2.8 2.8 0 0 1-5.6 0v-5A2.8 2.8 0 0 1 12 3.5zM5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3";
const MICROPHONE_OFF =
  "M4 4l16 16M9.2 9v2.3a2.8 2.8 0 0 0 4.3 2.4M14.8 11V6.3a2.8 2.8 0 0 0-5.4-1.1M5.5 11.5a6.5 6.5 0 0 0 10.4 5.2M18.5 11.5a6.4 6.4 0 0 1-.8 3.1M12 18v3";
const FIGURES = "M5 20v-6M12 20V4M19 20v-9";
/** One, two or three bars of three. @type {Record<string, string>} */
const BARS = { poor: "M5 20v-5", good: "M5 20v-5M12 20V10", excellent: "M5 20v-5M12 20V10M19 20V4", lost: "M5 5l14 14M19 5L5 19" };
const LANE_WORDS = { direct: "straight from the kernel's machine", proxy: "through the notebook's server", comm: "over the widget's comm" };

/**
 * What comes, in the fewest words: "360p".
 * @param {Look} look
 */
export function badgeText({ state, received }) {
  return state === "playing" && received.height ? `${Math.min(received.width, received.height)}p` : "";
}

/**
 * The lines of the statistics.
 * @param {Look} look
 * @returns {string[]}
 */
export function figureLines({ received, about, figures, lane }) {
  const layer = layerName(about.layers ?? {}, received.width, received.height);
  const lines = [];
  if (received.height) lines.push(sizeText(received.width, received.height) + (layer ? ` · ${layer}` : ""));
  if (figures) {
    lines.push(`${bitrateText(figures[0])} · ${Math.round(figures[1])} fps`, `${(100 * figures[2]).toFixed(1)} % lost`);
  }
  return lane ? [...lines, `${lane} lane`] : lines;
}

export class Badges {
  /**
   * @param {HTMLElement} root
   * @param {(action: string) => void} act
   */
  constructor(root, act) {
    this.microphone = make("span", "lknb-video-microphone", { role: "img" });
    this.text = make("span", "lknb-video-name-text", { dir: "auto" });
    const live = "Live: a page of this notebook sends it";
    this.live = make("span", "lknb-video-live", { role: "img", "aria-label": live, title: live });
    this.label = make("div", "lknb-video-name", {}, this.live, this.microphone, this.text);
    this.connection = make("span", "lknb-video-connection", { role: "img" });
    this.size = make("span", "lknb-video-size");
    this.toggle = make("button", "lknb-video-button", { type: "button", title: "Figures" }, drawing(FIGURES));
    this.toggle.setAttribute("aria-label", "Figures on the picture");
    this.toggle.addEventListener("click", () => act("stats"));
    this.corner = make("div", "lknb-video-corner", {}, this.connection, this.size, this.toggle);
    this.figures = make("div", "lknb-video-figures");
    root.append(this.label, this.figures, this.corner);
    this.drawn = "";
  }

  /** @param {Look} look */
  show(look) {
    const { name, about, stats, lane } = look;
    setText(this.text, name);
    const microphone = about.microphone === "muted" || (about.microphone === "on" && about.initials) ? about.microphone : "";
    this.microphone.hidden = !microphone;
    this.live.hidden = !about.live;
    this.label.hidden = !name && !microphone && !about.live;
    this.connection.hidden = !about.connection;
    this.connection.dataset.quality = about.connection ?? "";
    const drawn = JSON.stringify([microphone, about.connection]);
    if (drawn !== this.drawn) {
      this.drawn = drawn;
      this.microphone.replaceChildren(drawing(microphone === "muted" ? MICROPHONE_OFF : MICROPHONE));
      this.microphone.setAttribute("aria-label", microphone === "muted" ? "Microphone muted" : "Microphone on");
      this.microphone.dataset.muted = String(microphone === "muted");
      this.connection.replaceChildren(drawing(BARS[about.connection ?? ""] ?? ""));
      this.connection.setAttribute("aria-label", `Connection ${about.connection}`);
      this.connection.title = `Connection ${about.connection}`;
    }
    const size = badgeText(look);
    setText(this.size, size);
    this.size.hidden = !size;
    this.size.title = figureLines(look).slice(0, 1).concat(lane ? LANE_WORDS[lane] : []).join(", ");
    this.toggle.hidden = look.state !== "playing";
    this.toggle.setAttribute("aria-pressed", String(stats));
    this.figures.hidden = !stats || look.state !== "playing";
    if (!this.figures.hidden) this.#write(figureLines(look));
  }

  /** @param {string[]} lines */
  #write(lines) {
    while (this.figures.children.length > lines.length) this.figures.lastElementChild?.remove();
    while (this.figures.children.length < lines.length) this.figures.append(make("div", ""));
    lines.forEach((line, index) => setText(this.figures.children[index], line));
  }
}
