// What makes a view of a room one that is heard: while it is displayed the page plays the room, and where the browser wants a
// click before, the view has a button for it.

import { SPEAKER, drawing, make } from "./dom.js";
import { resumeOutput } from "./output.js";
import { playerOf, showRoom, thisPage } from "./page.js";

export class Hearing {
  /**
   * @param {WidgetModel} model whose trait `_audio` names the `RoomAudio` of its room, if there is one
   * @param {HTMLElement} root of the view
   */
  constructor(model, root) {
    this.key = /** @type {string} */ (model.get("_audio") ?? "");
    this.button = make("button", "lknb-hear", { type: "button" }, drawing(SPEAKER), "Click to hear");
    this.button.addEventListener("click", resumeOutput);
    this.button.hidden = true;
    this.update = () => {
      this.button.hidden = !this.key || !thisPage().blocked || !playerOf(this.key)?.playing;
    };
    if (!this.key) return;
    root.append(this.button);
    thisPage().changes.addEventListener("blocked", this.update);
    thisPage().changes.addEventListener("player", this.update);
    showRoom(this.key, this, true);
    this.update();
    // some hosts make a model when it is first asked for
    model.widget_manager?.get_model?.(this.key).catch(() => {});
  }

  dispose() {
    if (!this.key) return;
    thisPage().changes.removeEventListener("blocked", this.update);
    thisPage().changes.removeEventListener("player", this.update);
    showRoom(this.key, this, false);
    this.button.remove();
  }
}
