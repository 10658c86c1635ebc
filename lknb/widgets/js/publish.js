// What we publish ourselves: a row each, and below what else can be published.

import { controlWidget } from "./control.js";
import { ElementList, make, setText } from "./dom.js";

/** @typedef {{ sid: string, name: string, about: string, size: string, muted: boolean }} PublishedRow */

class PublishedLine {
  /**
   * @param {string} sid
   * @param {import("./control.js").Control} control
   */
  constructor(sid, control) {
    this.name = make("span", "lknb-publish-name", { dir: "auto" });
    this.about = make("span", "lknb-dim");
    this.mute = make("button", "lknb-toggle", { type: "button" });
    this.mute.addEventListener("click", () => control.act({ do: this.muted ? "unmute" : "mute", sid }));
    const end = make("button", "lknb-toggle", { type: "button" }, "Unpublish");
    end.addEventListener("click", () => control.act({ do: "unpublish", sid }));
    this.muted = false;
    this.end = end;
    const what = make("span", "lknb-publish-what", {}, this.name, this.about);
    this.element = make("li", "lknb-publish-row", {}, what, this.mute, end);
  }

  /** @param {PublishedRow} row */
  update({ name, about, size, muted }) {
    this.muted = muted;
    setText(this.name, name);
    this.name.title = name;
    setText(this.about, [name === about ? "" : about, size, muted ? "muted" : ""].filter(Boolean).join(" · "));
    setText(this.mute, muted ? "Unmute" : "Mute");
    this.mute.setAttribute("aria-label", `${muted ? "Unmute" : "Mute"} ${name}`);
    this.end.setAttribute("aria-label", `Unpublish ${name}`);
  }
}

class Publish {
  /**
   * @param {import("./control.js").Control} control
   * @param {HTMLElement} root
   */
  constructor(control, root) {
    const list = make("ul", "lknb-publish-list", {});
    this.empty = make("p", "lknb-empty");
    /** @type {ElementList<PublishedLine>} */
    this.lines = new ElementList(list, (sid) => new PublishedLine(sid, control));
    this.pattern = make("button", "lknb-toggle", { type: "button" }, "Test pattern");
    this.pattern.addEventListener("click", () => control.act({ do: "pattern" }));
    this.tone = make("button", "lknb-toggle", { type: "button" }, "Tone");
    this.tone.addEventListener("click", () => control.act({ do: "tone" }));
    this.path = make("input", "lknb-publish-path", { type: "text", placeholder: "A media file of the kernel", "aria-label": "Path of a media file" });
    // shortcuts of the notebook are not meant for what is typed here
    this.path.addEventListener("keydown", (event) => event.stopPropagation());
    this.file = make("button", "lknb-toggle", { type: "submit" }, "Publish file");
    const form = make("form", "lknb-publish-form", {}, this.path, this.file);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      control.act({ do: "file", path: this.path.value });
    });
    this.control = control;
    /** @type {HTMLButtonElement[]} */
    this.sources = [];
    this.own = make("span", "lknb-publish-own");
    const row = make("div", "lknb-publish-more", { role: "group", "aria-label": "Publish" }, this.own, this.pattern, this.tone, form);
    root.append(this.empty, list, row);
  }

  /** @param {string[]} names */
  showSources(names) {
    if (this.sources.length === names.length) return;
    this.sources = names.map((name, index) => {
      const button = make("button", "lknb-toggle", { type: "button", dir: "auto" }, name);
      button.addEventListener("click", () => this.control.act({ do: "source", index }));
      return button;
    });
    this.own.replaceChildren(...this.sources);
  }

  /** @param {{ connected: boolean, rows: PublishedRow[], pending: boolean, sources: string[] }} shown */
  update({ connected, rows, pending, sources }) {
    this.showSources(sources);
    this.lines.show(
      rows.map(({ sid }) => sid),
      (line, index) => line.update(rows[index]),
    );
    setText(this.empty, connected ? "You publish nothing yet." : "Not in the room.");
    this.empty.hidden = connected && rows.length > 0;
    [...this.sources, this.pattern, this.tone, this.file].forEach((button) => {
      button.disabled = !connected || pending;
    });
  }
}

export default controlWidget(Publish);
