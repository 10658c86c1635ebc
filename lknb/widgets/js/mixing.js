// The end of a room's sound in the audio thread of the page, as the page holds it.

import { MIXER_NAME, MIXER_SOURCE } from "./inserted.js";
import { connectOutput, openContext } from "./output.js";
import { routeOutput } from "./route.js";

/** @type {WeakMap<AudioContext, Promise<void>>} */
const mixersLoaded = new WeakMap();

/**
 * A mixer, and the volume behind it, which is heard until it is closed.
 * @typedef {{ mixer: AudioWorkletNode, volume: GainNode, close: () => void }} Mixing
 */

/** @returns {Promise<Mixing>} */
export async function openMixer() {
  const context = openContext();
  routeOutput();
  let ready = mixersLoaded.get(context);
  if (!ready) {
    const url = URL.createObjectURL(new Blob([MIXER_SOURCE], { type: "text/javascript" }));
    ready = context.audioWorklet.addModule(url).finally(() => URL.revokeObjectURL(url));
    mixersLoaded.set(context, ready);
  }
  const volume = context.createGain();
  // from here on nobody closes the context
  const disconnect = connectOutput(volume);
  try {
    await ready;
    const mixer = new AudioWorkletNode(context, MIXER_NAME, { numberOfInputs: 0, outputChannelCount: [2] });
    mixer.connect(volume);
    const close = () => {
      mixer.port.postMessage({ type: "end" });
      mixer.disconnect();
      disconnect();
    };
    return { mixer, volume, close };
  } catch (error) {
    disconnect();
    throw error;
  }
}
