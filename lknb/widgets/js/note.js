// A sentence where nothing else is to be seen, and the line of code that changes that.

import { controlWidget } from "./control.js";
import { make, setText } from "./dom.js";

class Note {
  /**
   * @param {import("./control.js").Control} _
   * @param {HTMLElement} root
   */
  constructor(_, root) {
    this.text = make("p", "lknb-note-text", { role: "status" });
    this.code = make("code", "lknb-note-code");
    root.append(make("div", "lknb-note", {}, this.text, this.code));
  }

  /** @param {{ text: string, code: string }} shown */
  update({ text, code }) {
    setText(this.text, text);
    setText(this.code, code);
    this.code.hidden = !code;
  }
}

export default controlWidget(Note);
