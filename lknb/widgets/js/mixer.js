// The entry of the audio thread: all tracks of one room into one output. What is to be heard comes from the Worker, past the page.

import { MIXER_NAME } from "./inserted.js";
import { Ring } from "./ring.js";

/** @typedef {{ ring: Ring, gain: number, wanted: number, gone: boolean }} Voice */

class Mixer extends AudioWorkletProcessor {
  constructor() {
    super();
    /** @type {Map<number, Voice>} */
    this.voices = new Map();
    this.started = false;
    this.ended = false;
    this.port.onmessage = ({ data }) => this.obey(data);
  }

  /** @param {MixerOrder} order */
  obey(order) {
    if (order.type === "source") order.port.onmessage = ({ data }) => this.handle(data);
    else this.ended = true;
  }

  /** @param {MixerCommand} command */
  handle(command) {
    // before the clock runs, arrivals tell nothing about how late others will be
    if (command.type === "sound" && !this.started) return;
    let voice = this.voices.get(command.index);
    if (command.type === "drop") {
      if (voice) voice.gone = true;
      return;
    }
    if (!voice || voice.gone) this.voices.set(command.index, (voice = { ring: new Ring(), gain: 1, wanted: 1, gone: false }));
    if (command.type === "sound") voice.ring.push(command.position, command.channels, currentFrame);
    else if (command.type === "flush") voice.ring.flush();
    else voice.wanted = command.gain;
  }

  /**
   * @param {Float32Array[][]} _
   * @param {Float32Array[][]} outputs
   */
  process(_, [output]) {
    this.started = true;
    for (const [index, voice] of this.voices) {
      // a gain that is to change does so over a few blocks, so that it does not click
      const gain = Math.abs(voice.wanted - voice.gain) < 0.001 ? voice.wanted : voice.gain + (voice.wanted - voice.gain) / 4;
      voice.ring.mix(output, currentFrame, voice.gain, gain);
      voice.gain = gain;
      // one that is gone has faded out by then
      if (voice.gone && !voice.ring.playing) this.voices.delete(index);
    }
    return !this.ended;
  }
}

registerProcessor(MIXER_NAME, Mixer);
