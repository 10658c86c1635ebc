// Who speaks, and how loud.

import { controlWidget } from "./control.js";
import { ElementList, drawing, make, setText } from "./dom.js";

/** @typedef {{ identity: string, name: string, speaking: boolean, microphone: "on" | "muted" | "none" }} Person */

const MICROPHONE = "M12 3.5a2.8 2.8 0 0 1 2.8 2.8v5a2.8 2.8 0 0 1-5.6 0v-5A2.8 2.8 0 0 1 12 3.5zM5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3";
const MUTED = "M4 4l16 16M9.2 9v2.3a2.8 2.8 0 0 0 4.3 2.4M14.8 11V6.3a2.8 2.8 0 0 0-5.4-1.1M5.5 11.5a6.5 6.5 0 0 0 10.4 5.2M18.5 11.5a6.4 6.4 0 0 1-.8 3.1M12 18v3";
const STATES = { on: "", muted: "muted", none: "no microphone" };

/**
 * How far a meter goes for a level. Speech has a level of some hundredths; in decibels it can be seen.
 * @param {number} level from 0 to 1, linear
 */
export function meterPart(level) {
  const floorDb = -50;
  return level > 0 ? Math.min(1, Math.max(0, 1 - (20 * Math.log10(level)) / floorDb)) : 0;
}

class PersonRow {
  constructor() {
    this.icon = make("span", "lknb-speaker-icon");
    this.name = make("span", "lknb-speaker-name", { dir: "auto" });
    this.state = make("span", "lknb-speaker-state");
    this.bar = make("span", "lknb-level-bar");
    this.meter = make("span", "lknb-level", { role: "meter", "aria-valuemin": "0", "aria-valuemax": "100" }, this.bar);
    this.element = make("li", "lknb-speaker", {}, this.icon, this.name, this.meter, this.state);
    this.drawn = "";
  }

  /** @param {Person} person */
  show({ name, speaking, microphone }) {
    setText(this.name, name);
    this.name.title = name;
    this.element.dataset.speaking = String(speaking);
    this.element.dataset.microphone = microphone;
    this.meter.setAttribute("aria-label", `Voice of ${name}`);
    setText(this.state, speaking ? "speaking" : STATES[microphone]);
    const lines = microphone === "on" ? MICROPHONE : MUTED;
    if (lines !== this.drawn) this.icon.replaceChildren(drawing(lines));
    this.drawn = lines;
  }

  /** @param {number} level */
  measure(level) {
    const part = meterPart(level);
    this.bar.style.transform = `scaleX(${part})`;
    this.meter.setAttribute("aria-valuenow", String(Math.round(part * 100)));
  }
}

class SpeakerIndicator {
  /**
   * @param {import("./control.js").Control} _
   * @param {HTMLElement} root
   */
  constructor(_, root) {
    const list = make("ul", "lknb-speakers", { "aria-label": "Voices" });
    this.empty = make("p", "lknb-empty");
    root.append(list, this.empty);
    /** @type {ElementList<PersonRow>} */
    this.list = new ElementList(list, () => new PersonRow());
    /** @type {Record<string, number>} */
    this.levels = {};
  }

  /** @param {{ people: Person[], empty: string }} shown */
  update({ people, empty }) {
    setText(this.empty, empty);
    this.empty.hidden = !empty;
    this.list.show(
      people.map((person) => person.identity),
      (item, index) => {
        item.show(people[index]);
        item.measure(this.levels[people[index].identity] ?? 0);
      },
    );
  }

  /** @param {{ type: string, levels: Record<string, number> }} message */
  hear(message) {
    if (message.type !== "levels") return;
    Object.assign(this.levels, message.levels);
    Object.entries(message.levels).forEach(([identity, level]) => this.list.items.get(identity)?.measure(level));
  }
}

export default controlWidget(SpeakerIndicator);
