// The head of a room's panel: which room it is, how we are connected, who is there, and what else is to be shown.

import { controlWidget } from "./control.js";
import { ElementList, make, setText } from "./dom.js";

/**
 * @typedef {object} Head
 * @property {string} name
 * @property {"connected" | "reconnecting" | "disconnected"} state
 * @property {number} people
 * @property {string} lane
 * @property {{ key: string, label: string, open: boolean }[]} sections
 */

const STATES = { connected: "Connected", reconnecting: "Reconnecting…", disconnected: "Not in the room" };

/** @param {number} people */
export function peopleText(people) {
  return people === 1 ? "1 participant" : `${people} participants`;
}

class Header {
  /**
   * @param {import("./control.js").Control} control
   * @param {HTMLElement} root
   */
  constructor(control, root) {
    this.name = make("span", "lknb-header-name", { dir: "auto" });
    this.dot = make("span", "lknb-header-dot", { "aria-hidden": "true" });
    this.state = make("span", "", { role: "status" });
    this.facts = make("span", "lknb-dim");
    const sections = make("div", "lknb-header-sections", { role: "group", "aria-label": "Show" });
    root.append(
      make(
        "div",
        "lknb-header",
        {},
        this.name,
        make("span", "lknb-header-state", {}, this.dot, this.state),
        this.facts,
        sections,
      ),
    );
    /** @type {ElementList<{ element: HTMLButtonElement }>} */
    this.sections = new ElementList(sections, (key) => {
      const element = make("button", "lknb-toggle", { type: "button" });
      element.addEventListener("click", () => control.act({ do: "toggle", section: key }));
      return { element };
    });
  }

  /** @param {Head} head */
  update({ name, state, people, lane, sections }) {
    setText(this.name, name);
    this.name.title = name;
    this.dot.dataset.state = state;
    setText(this.state, STATES[state]);
    setText(this.facts, [peopleText(people), ...(lane ? [`${lane} lane`] : [])].join(" · "));
    this.sections.show(
      sections.map((section) => section.key),
      ({ element }, index) => {
        setText(element, sections[index].label);
        element.setAttribute("aria-expanded", String(sections[index].open));
      },
    );
  }
}

export default controlWidget(Header);
