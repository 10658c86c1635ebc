// What one view of sound looks like: a button that mutes, a slider, and what is going on.

import { SPEAKER, drawing, make, setText } from "./dom.js";
import { Hearing } from "./hear.js";

const SPEAKER_OFF = "M4 9.5h3.5L12 5.5v13l-4.5-4H4zM16 9.5l5 5M21 9.5l-5 5";

/**
 * @typedef {object} BarLook
 * @property {string} name of what is heard
 * @property {string} status
 * @property {(() => void) | null} retry what may help, when something went wrong
 * @property {number | null} level from 0 to 1; null where there is no meter
 */

export class Bar {
  /**
   * @param {WidgetModel} model with the traits `volume` and `muted`
   * @param {HTMLElement} host
   * @param {() => BarLook} look
   */
  constructor(model, host, look) {
    this.model = model;
    this.look = look;
    host.classList.add("lknb-audio-host");
    this.mute = make("button", "lknb-audio-mute", { type: "button" }, drawing(SPEAKER));
    this.mute.addEventListener("click", () => this.#set("muted", !this.model.get("muted")));
    this.slider = make("input", "lknb-audio-volume", { type: "range", min: "0", max: "100", step: "1" });
    this.slider.addEventListener("input", () => this.#slide());
    this.meter = make("div", "lknb-audio-meter", { "aria-hidden": "true" }, make("div", "lknb-audio-level"));
    this.name = make("div", "lknb-audio-name", { dir: "auto" });
    this.status = make("div", "lknb-audio-status", { role: "status" });
    this.retry = make("button", "lknb-audio-retry", { type: "button" }, "Try again");
    this.retry.addEventListener("click", () => this.look().retry?.());
    this.words = make("div", "lknb-audio-words", {}, this.name, this.meter, this.status);
    this.root = make("div", "lknb-audio", { role: "group" }, this.mute, this.slider, this.words, this.retry);
    host.append(this.root);
    this.update = () => this.#update();
    model.on("change:volume", this.update);
    model.on("change:muted", this.update);
    this.hearing = new Hearing(model, this.root);
    this.update();
  }

  dispose() {
    this.hearing.dispose();
    this.model.off("change:volume", this.update);
    this.model.off("change:muted", this.update);
    this.root.remove();
  }

  #update() {
    const { name, status, retry, level } = this.look();
    const muted = this.model.get("muted");
    const percent = Math.round(100 * this.model.get("volume"));
    this.root.setAttribute("aria-label", `Sound of ${name}`);
    this.root.dataset.muted = String(muted);
    this.root.dataset.faulty = String(retry !== null);
    this.retry.hidden = retry === null;
    this.mute.setAttribute("aria-label", muted ? `Unmute ${name}` : `Mute ${name}`);
    this.mute.title = muted ? "Unmute" : "Mute";
    this.mute.querySelector("path")?.setAttribute("d", muted || !percent ? SPEAKER_OFF : SPEAKER);
    this.slider.setAttribute("aria-label", `Volume of ${name}`);
    if (this.slider.value !== String(percent)) this.slider.value = String(percent);
    this.slider.style.setProperty("--lknb-volume", `${percent}%`);
    setText(this.name, level === null ? "" : name);
    this.name.hidden = level === null;
    this.meter.hidden = level === null;
    this.meter.style.setProperty("--lknb-level", String(muted ? 0 : (level ?? 0)));
    setText(this.status, status);
    this.status.hidden = !status;
  }

  #slide() {
    const volume = Number(this.slider.value) / 100;
    this.model.set("volume", volume);
    // whoever moves it wants to hear
    if (volume > 0) this.model.set("muted", false);
    this.model.save_changes();
    this.#update();
  }

  /**
   * @param {string} trait
   * @param {unknown} value
   */
  #set(trait, value) {
    this.model.set(trait, value);
    this.model.save_changes();
    this.#update();
  }
}
