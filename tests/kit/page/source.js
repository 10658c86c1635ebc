// What a page publishes when the camera and the microphone would not do: known colours and known tones.

export class CanvasSource {
  /**
   * @param {[number, number, number]} colour @param {number} width @param {number} height @param {number} frameRate
   */
  constructor(colour, width, height, frameRate) {
    this.colour = colour;
    this.canvas = document.createElement("canvas");
    this.canvas.width = width;
    this.canvas.height = height;
    const context = this.canvas.getContext("2d");
    if (!context) throw new Error("no 2d canvas");
    this.context = context;
    this.count = 0;
    this.timer = setInterval(() => this.#draw(), 1000 / frameRate);
    this.#draw();
    this.track = this.canvas.captureStream(frameRate).getVideoTracks()[0];
  }

  #draw() {
    const { width, height } = this.canvas;
    this.context.fillStyle = `rgb(${this.colour.join(" ")})`;
    this.context.fillRect(0, 0, width, height);
    // moves, so that no encoder rests; outside the middle, whose colour is measured
    this.context.fillStyle = "white";
    this.context.fillRect((this.count * 8) % (width - width / 16), 0, width / 16, height / 8);
    this.count += 1;
  }

  close() {
    clearInterval(this.timer);
    this.track.stop();
  }
}

export class ToneSource {
  /** @param {number} frequencyHz */
  constructor(frequencyHz) {
    this.context = new AudioContext({ sampleRate: 48000 });
    const oscillator = new OscillatorNode(this.context, { frequency: frequencyHz });
    const destination = new MediaStreamAudioDestinationNode(this.context, { channelCount: 1 });
    oscillator.connect(new GainNode(this.context, { gain: 0.4 })).connect(destination);
    oscillator.start();
    this.track = destination.stream.getAudioTracks()[0];
  }

  close() {
    this.track.stop();
    void this.context.close();
  }
}
