// What flows, over time: one canvas with a panel for each figure, all on one axis of time.

import { controlWidget } from "./control.js";
import { ElementList, make, setText } from "./dom.js";
import { axisEnd, bitrateText } from "./figure.js";

/** Time, bits a second, height, frames a second, lost, level. @typedef {[number, number, number, number, number, number]} Point */
/** @typedef {{ window_s: number, interval_s: number, kind: string, labels: Record<string, string>, empty: string }} Shown */
/**
 * @typedef {object} Panel
 * @property {string} name
 * @property {number} column
 * @property {"video" | "audio"} [kind] of which tracks only
 * @property {number} least the axis ends there or later
 * @property {number[]} [ends] where it may end, instead of round numbers
 * @property {(value: number) => string} text
 */

/** @type {Panel[]} */
const PANELS = [
  { name: "Bitrate", column: 1, least: 100_000, text: bitrateText },
  { name: "Picture height", column: 2, kind: "video", least: 180, ends: [180, 360, 540, 720, 1080, 1440, 2160], text: (value) => `${value} px` },
  { name: "Loss", column: 4, least: 0.05, ends: [0.05, 0.1, 0.2, 0.5, 1], text: (value) => `${Number((value * 100).toFixed(1))} %` },
  { name: "Audio level", column: 5, kind: "audio", least: 0.1, ends: [0.1, 0.2, 0.5, 1], text: (value) => value.toFixed(2) },
];
const PANEL_PIXELS = 74;
const AXIS_PIXELS = 18;
/** Told apart on light and dark ground. */
const COLOURS = ["#3b82f6", "#f59e0b", "#10b981", "#ef4444", "#a855f7", "#06b6d4", "#ec4899", "#84cc16"];

/**
 * The points in sight, oldest first, and one before them so that the line begins at the edge.
 * @param {Point[]} points
 * @param {number} since
 */
export function pointsSince(points, since) {
  const first = points.findIndex((point) => point[0] >= since);
  return first < 0 ? [] : points.slice(Math.max(0, first - 1));
}

/**
 * Where the axis of a panel ends.
 * @param {Panel} panel
 * @param {Point[][]} lines
 */
export function panelEnd(panel, lines) {
  const highest = Math.max(panel.least, ...lines.flat().map((point) => point[panel.column]));
  return panel.ends?.find((end) => end >= highest) ?? axisEnd(highest);
}

class StatsPlot {
  /**
   * @param {import("./control.js").Control} _
   * @param {HTMLElement} root
   */
  constructor(_, root) {
    this.canvas = make("canvas", "lknb-plot-canvas", { role: "img" });
    const legend = make("ul", "lknb-legend", { "aria-label": "Tracks" });
    this.empty = make("p", "lknb-empty");
    root.append(make("div", "lknb-plot", {}, this.canvas, legend), this.empty);
    /** @type {ElementList<{ element: HTMLElement, swatch: HTMLElement, label: HTMLElement }>} */
    this.legend = new ElementList(legend, () => legendItem());
    /** @type {Record<string, Point[]>} */
    this.points = {};
    /** @type {Shown} */
    this.shown = { window_s: 60, interval_s: 0.5, kind: "", labels: {}, empty: "" };
    this.panels = PANELS;
    this.width = 0;
    this.observer = new ResizeObserver((entries) => this.#resize(entries[entries.length - 1].contentRect.width));
    this.observer.observe(this.canvas);
  }

  dispose() {
    this.observer.disconnect();
  }

  get height() {
    return this.panels.length * PANEL_PIXELS + AXIS_PIXELS;
  }

  /** @param {Shown} shown */
  update(shown) {
    this.shown = shown;
    // one track has no figures of the other kind
    this.panels = PANELS.filter(({ kind }) => !kind || !shown.kind || kind === shown.kind);
    this.canvas.style.height = `${this.height}px`;
    setText(this.empty, shown.empty);
    this.empty.hidden = !shown.empty;
    const sids = Object.keys(shown.labels);
    this.legend.show(sids, ({ swatch, label }, index) => {
      swatch.style.background = COLOURS[index % COLOURS.length];
      setText(label, shown.labels[sids[index]]);
    });
    this.#resize(this.width);
  }

  /** @param {{ type: string, past: Record<string, Point[]>, points: Record<string, Point> }} message */
  hear(message) {
    if (message.type === "past") {
      this.points = message.past;
    } else if (message.type === "points") {
      Object.entries(message.points).forEach(([sid, point]) => {
        const line = (this.points[sid] ??= []);
        line.push(point);
        // one more than is seen, and only now and then a copy
        if (line.length > (2 * this.shown.window_s) / this.shown.interval_s) {
          this.points[sid] = pointsSince(line, point[0] - this.shown.window_s);
        }
      });
    }
    this.draw();
  }

  draw() {
    const context = this.canvas.getContext("2d");
    if (!context || !this.width) return;
    const style = getComputedStyle(this.canvas);
    const ratio = devicePixelRatio;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.canvas.height / ratio);
    context.font = `11px ${style.fontFamily}`;
    const now = Math.max(0, ...Object.values(this.points).map((line) => line[line.length - 1]?.[0] ?? 0));
    const since = now - this.shown.window_s;
    const sids = Object.keys(this.shown.labels);
    const lines = sids.map((sid) => pointsSince(this.points[sid] ?? [], since));
    const ink = { text: style.color, line: style.getPropertyValue("--lknb-line") || "#ccc" };
    this.panels.forEach((panel, index) => this.#drawPanel(context, panel, index * PANEL_PIXELS, lines, since, ink));
    this.#drawTime(context, ink);
    this.canvas.setAttribute("aria-label", describe(sids, this.shown.labels, lines));
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Panel} panel
   * @param {number} top
   * @param {Point[][]} lines
   * @param {number} since
   * @param {{ text: string, line: string }} ink
   */
  #drawPanel(context, panel, top, lines, since, ink) {
    const end = panelEnd(panel, lines);
    const high = top + 20;
    const low = top + PANEL_PIXELS - 6;
    context.strokeStyle = ink.line;
    context.lineWidth = 1;
    context.beginPath();
    for (const y of [high, low]) {
      context.moveTo(0, Math.round(y) + 0.5);
      context.lineTo(this.width, Math.round(y) + 0.5);
    }
    context.stroke();
    context.fillStyle = ink.text;
    context.textAlign = "left";
    context.fillText(panel.name, 0, top + 14);
    context.textAlign = "right";
    context.fillText(panel.text(end), this.width, top + 14);
    const x = (/** @type {number} */ at) => ((at - since) / this.shown.window_s) * this.width;
    const y = (/** @type {number} */ value) => low - (Math.min(value, end) / end) * (low - high);
    context.save();
    context.beginPath();
    context.rect(0, high - 2, this.width, low - high + 4);
    context.clip();
    context.lineWidth = 1.6;
    context.lineJoin = "round";
    lines.forEach((line, index) => {
      // sound has no height, and a picture no level: a line along the ground would only hide others
      if (panel.column !== 1 && !line.some((point) => point[panel.column])) return;
      context.strokeStyle = COLOURS[index % COLOURS.length];
      context.beginPath();
      line.forEach((point) => context.lineTo(x(point[0]), y(point[panel.column])));
      context.stroke();
    });
    context.restore();
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {{ text: string }} ink
   */
  #drawTime(context, ink) {
    const y = this.panels.length * PANEL_PIXELS + 10;
    context.fillStyle = ink.text;
    context.textAlign = "left";
    context.fillText(`${Math.round(this.shown.window_s)} s ago`, 0, y);
    context.textAlign = "right";
    context.fillText("now", this.width, y);
  }

  /** @param {number} width */
  #resize(width) {
    this.width = Math.round(width);
    this.canvas.width = this.width * devicePixelRatio;
    this.canvas.height = this.height * devicePixelRatio;
    this.draw();
  }
}

/**
 * The last values, for who cannot see the lines.
 * @param {string[]} sids
 * @param {Record<string, string>} labels
 * @param {Point[][]} lines
 */
function describe(sids, labels, lines) {
  const told = sids.map((sid, index) => {
    const last = lines[index][lines[index].length - 1];
    if (!last) return `${labels[sid]}: nothing`;
    return `${labels[sid]}: ${bitrateText(last[1])}${last[2] ? `, ${last[2]} pixels high` : ""}`;
  });
  return `Statistics over time. ${told.join("; ") || "Nothing flows yet."}`;
}

function legendItem() {
  const swatch = make("span", "lknb-swatch");
  const label = make("span", "lknb-legend-label", { dir: "auto" });
  return { element: make("li", "", {}, swatch, label), swatch, label };
}

export default controlWidget(StatsPlot);
