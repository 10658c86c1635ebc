// Which layer to ask for, as a group of radio buttons, and which one comes.

import { controlWidget } from "./control.js";
import { make, setText } from "./dom.js";
import { bitrateText, sizeText } from "./figure.js";

/**
 * @typedef {object} Asked
 * @property {string} name
 * @property {Record<string, [number, number]>} layers
 * @property {string} asked
 * @property {string} status
 * @property {boolean} able
 */

const CHOICES = { low: "Low", medium: "Medium", high: "High", auto: "Auto" };

let groups = 0;

/**
 * The sentence below the buttons.
 * @param {Asked} shown
 * @param {[number, number, number, string] | null} figures
 */
export function receivedText(shown, figures) {
  if (shown.status) return `Nothing comes: ${shown.status}`;
  if (!figures || !figures[1]) return "Waiting for the first picture…";
  const [bps, width, height, layer] = figures;
  const rate = bps ? bitrateText(bps) : "paused";
  return `Receiving ${layer ? `${layer}, ` : ""}${sizeText(width, height)} · ${rate}`;
}

class QualitySelector {
  /**
   * @param {import("./control.js").Control} control
   * @param {HTMLElement} root
   */
  constructor(control, root) {
    groups += 1;
    /** @type {Record<string, { input: HTMLInputElement, size: HTMLElement, label: HTMLElement }>} */
    this.choices = {};
    this.group = make("div", "lknb-choices", { role: "radiogroup" });
    Object.entries(CHOICES).forEach(([value, word]) => {
      const input = make("input", "", { type: "radio", name: `lknb-quality-${groups}`, value });
      const size = make("span", "lknb-choice-size");
      const label = make("label", "lknb-choice", {}, input, make("span", "", {}, word), size);
      input.addEventListener("change", () => control.act({ value }));
      this.choices[value] = { input, size, label };
      this.group.append(label);
    });
    this.received = make("div", "lknb-received");
    // told by itself, so that a screen reader hears of another layer, and not of every bit
    this.layer = make("span", "lknb-hidden", { role: "status" });
    root.append(make("div", "lknb-quality", {}, this.group, this.received, this.layer));
    /** @type {[number, number, number, string] | null} */
    this.figures = null;
    /** @type {Asked | null} */
    this.shown = null;
  }

  /** @param {Asked} shown */
  update(shown) {
    this.shown = shown;
    const single = !Object.keys(shown.layers).length;
    this.group.setAttribute("aria-label", `Layer of ${shown.name}`);
    this.group.hidden = single;
    Object.entries(this.choices).forEach(([value, { input, size, label }]) => {
      const layer = shown.layers[value];
      setText(size, layer ? `${layer[1]}p` : "");
      input.checked = value === shown.asked;
      input.disabled = !shown.able;
      label.hidden = !layer && value !== "auto";
    });
    this.#tell();
  }

  /** @param {{ type: string, figures: [number, number, number, string] }} message */
  hear(message) {
    if (message.type !== "flow") return;
    this.figures = message.figures;
    this.#tell();
  }

  #tell() {
    if (!this.shown) return;
    const single = !Object.keys(this.shown.layers).length;
    const note = single ? "Published in one layer: there is nothing to choose. " : "";
    setText(this.received, note + receivedText(this.shown, this.figures));
    const layer = this.figures?.[3] ?? "";
    setText(this.layer, layer ? `Receiving the ${layer} layer` : "");
    Object.entries(this.choices).forEach(([value, { label }]) => {
      label.dataset.received = String(value === layer && !this.shown?.status);
    });
  }
}

export default controlWidget(QualitySelector);
