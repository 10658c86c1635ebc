// The menu of loudspeakers: one page, one choice, whichever menu it was made in.

import { SPEAKER_LOST } from "./device_fault.js";
import { Obstacle } from "./device_list.js";
import { make } from "./dom.js";
import { thisPage } from "./page.js";
import { canChooseSpeaker, chooseSpeaker, currentSpeaker, watchSpeaker } from "./speaker_choice.js";

export class SpeakerMenu {
  /**
   * @param {string} className
   * @param {(fault: import("./device_fault.js").DeviceFault | null) => void} tell what is wrong with the speaker by now
   */
  constructor(className, tell) {
    this.tell = tell;
    this.menu = make("select", className, { "aria-label": "Choose a speaker", title: "Choose a speaker" });
    this.menu.addEventListener("change", () => this.#choose(this.menu.value));
    this.onSpeaker = () => {
      this.#show();
      this.tell(thisPage().isSpeakerLost ? SPEAKER_LOST : null);
    };
    thisPage().changes.addEventListener("speaker", this.onSpeaker);
    watchSpeaker();
  }

  dispose() {
    thisPage().changes.removeEventListener("speaker", this.onSpeaker);
  }

  /** Whether there is a choice. */
  get isUseful() {
    return this.menu.options.length > 1 && canChooseSpeaker();
  }

  /** @param {{ kind: string, device_id: string, label: string }[]} devices */
  list(devices) {
    const own = devices.filter(({ kind, device_id: id }) => kind === "speaker" && id);
    const options = own.map(({ device_id: id, label }, index) => {
      const option = make("option", "", { value: id });
      option.textContent = label || `speaker ${index + 1}`;
      return option;
    });
    this.menu.replaceChildren(...options);
    this.#show();
  }

  #show() {
    this.menu.value = currentSpeaker();
  }

  /** @param {string} deviceId */
  async #choose(deviceId) {
    try {
      await chooseSpeaker(deviceId);
    } catch (error) {
      this.#show();
      if (error instanceof Obstacle) this.tell(error.fault);
    }
  }
}
