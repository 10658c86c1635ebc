// A row for each track: who publishes it, whether it is received, and what comes.

import { controlWidget } from "./control.js";
import { ElementList, drawing, make, setText } from "./dom.js";
import { bitrateText, sizeText } from "./figure.js";

/**
 * @typedef {object} Row
 * @property {string} sid
 * @property {string} who
 * @property {string} identity
 * @property {string} what
 * @property {string} source
 * @property {boolean} video
 * @property {boolean} allowed
 * @property {boolean} desired
 * @property {boolean} subscribed
 * @property {boolean} enabled
 * @property {string} quality
 * @property {Record<string, [number, number]>} layers
 * @property {string} status
 */

/** @typedef {[number, number, number, string]} Figures bitrate, width, height, layer */

const COLUMNS = ["Publisher", "Track", "Receive", "Play", "Layer", "What comes"];
const CAMERA = "M3 8a2 2 0 0 1 2-2h8a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2zM15 11l6-4v10l-6-4";
const SOUND = "M5 9.5h3l4.5-3.8v12.6L8 14.5H5zM16 9a4.5 4.5 0 0 1 0 6M18.6 6.4a8.2 8.2 0 0 1 0 11.2";

/** @param {string} word */
function capital(word) {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

/**
 * What comes of a track, in words.
 * @param {Row} row
 * @param {Figures | undefined} figures
 */
export function comingText(row, figures) {
  if (row.status) return capital(row.status);
  if (!figures) return "…";
  const [bps, width, height, layer] = figures;
  const size = row.video && width ? [sizeText(width, height)] : [];
  return [...size, ...(layer ? [layer] : []), bitrateText(bps)].join(" · ");
}

class TrackRow {
  /**
   * @param {import("./control.js").Control} control
   * @param {string} sid
   */
  constructor(control, sid) {
    this.who = make("span", "lknb-table-who", { dir: "auto" });
    this.what = make("span", "lknb-table-what", { dir: "auto" });
    this.picture = make("span", "lknb-table-kind");
    this.receive = toggle();
    this.play = toggle();
    this.quality = make("select", "lknb-select");
    this.coming = make("span", "lknb-table-coming");
    this.element = make(
      "tr",
      "",
      {},
      make("th", "", { scope: "row" }, this.who),
      make("td", "", {}, make("span", "lknb-table-track", {}, this.picture, this.what)),
      cell("Receive", this.receive),
      cell("Play", this.play),
      cell("Layer", this.quality),
      make("td", "", {}, this.coming),
    );
    this.kind = "";
    this.choices = "";
    this.receive.addEventListener("change", () => control.act({ do: "subscribe", sid, value: this.receive.checked }));
    this.play.addEventListener("change", () => control.act({ do: "enable", sid, value: this.play.checked }));
    this.quality.addEventListener("change", () => control.act({ do: "quality", sid, value: this.quality.value }));
  }

  /**
   * @param {Row} row
   * @param {Figures | undefined} figures
   */
  show(row, figures) {
    const track = `${row.what} of ${row.who}`;
    setText(this.who, row.who);
    this.who.title = row.identity;
    setText(this.what, row.what);
    this.what.title = row.source;
    const kind = row.video ? CAMERA : SOUND;
    if (kind !== this.kind) this.picture.replaceChildren(drawing(kind));
    this.kind = kind;
    this.receive.checked = row.desired;
    this.receive.disabled = !row.allowed && !row.desired;
    this.receive.setAttribute("aria-label", `Receive ${track}`);
    this.play.checked = row.enabled && row.desired;
    this.play.disabled = !row.subscribed;
    this.play.setAttribute("aria-label", `Play ${track}`);
    this.#offer(row, track);
    this.showFigures(row, figures);
  }

  /**
   * @param {Row} row
   * @param {Figures | undefined} figures
   */
  showFigures(row, figures) {
    setText(this.coming, comingText(row, figures));
    this.coming.classList.toggle("lknb-dim", Boolean(row.status));
  }

  /**
   * @param {Row} row
   * @param {string} track
   */
  #offer(row, track) {
    const names = Object.keys(row.layers);
    const cell = /** @type {HTMLElement} */ (this.quality.parentElement);
    this.quality.hidden = !names.length;
    cell.classList.toggle("lknb-table-none", !names.length);
    const choices = JSON.stringify(row.layers);
    if (choices !== this.choices) {
      this.choices = choices;
      this.quality.replaceChildren(
        new Option("Auto", "auto"),
        ...names.map((name) => new Option(`${capital(name)} ${row.layers[name][1]}p`, name)),
      );
    }
    this.quality.value = row.quality;
    this.quality.disabled = !row.subscribed;
    this.quality.setAttribute("aria-label", `Layer of ${track}`);
  }
}

class SubscriptionTable {
  /**
   * @param {import("./control.js").Control} control
   * @param {HTMLElement} root
   */
  constructor(control, root) {
    const head = COLUMNS.map((name) => make("th", "", { scope: "col" }, name));
    const body = make("tbody", "");
    this.table = make(
      "table",
      "lknb-table",
      { "aria-label": "Tracks of the others" },
      make("thead", "", {}, make("tr", "", {}, ...head)),
      body,
    );
    this.empty = make("p", "lknb-empty");
    root.append(this.table, this.empty);
    /** @type {ElementList<TrackRow>} */
    this.list = new ElementList(body, (sid) => new TrackRow(control, sid));
    /** @type {Row[]} */
    this.rows = [];
    /** @type {Record<string, Figures>} */
    this.figures = {};
  }

  /** @param {{ rows: Row[], empty: string }} shown */
  update({ rows, empty }) {
    this.rows = rows;
    this.table.hidden = !rows.length;
    setText(this.empty, empty);
    this.empty.hidden = !empty;
    this.list.show(
      rows.map((row) => row.sid),
      (item, index) => item.show(rows[index], this.figures[rows[index].sid]),
    );
  }

  /** @param {{ type: string, rows: Record<string, Figures> }} message */
  hear(message) {
    if (message.type !== "flows") return;
    Object.assign(this.figures, message.rows);
    this.rows.forEach((row) => this.list.items.get(row.sid)?.showFigures(row, this.figures[row.sid]));
  }
}

function toggle() {
  return make("input", "lknb-switch", { type: "checkbox", role: "switch" });
}

/**
 * @param {string} name
 * @param {HTMLElement} content
 */
function cell(name, content) {
  return make("td", "lknb-table-cell", { "data-name": name }, content);
}

export default controlWidget(SubscriptionTable);
