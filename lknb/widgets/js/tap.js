// Runs in the page's audio thread: a microphone's samples, 20 ms at a time, straight to the Worker.

const TAP_SAMPLES = Math.round(sampleRate / 50);

class Tap extends AudioWorkletProcessor {
  constructor() {
    super();
    /** @type {MessagePort | null} */
    this.out = null;
    this.open = true;
    this.samples = new Float32Array(TAP_SAMPLES);
    this.filled = 0;
    this.port.onmessage = ({ data }) => {
      this.out = data.port ?? null;
      this.open = !!data.port;
    };
  }

  /** @param {Float32Array[][]} inputs */
  process([[input]]) {
    for (let at = 0; input && at < input.length; ) {
      const taken = Math.min(input.length - at, TAP_SAMPLES - this.filled);
      this.samples.set(input.subarray(at, at + taken), this.filled);
      this.filled += taken;
      at += taken;
      if (this.filled === TAP_SAMPLES) this.#send();
    }
    return this.open;
  }

  #send() {
    this.out?.postMessage(this.samples, [this.samples.buffer]);
    this.samples = new Float32Array(TAP_SAMPLES);
    this.filled = 0;
  }
}

registerProcessor("lknb-tap", Tap);
