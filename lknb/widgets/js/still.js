// Pictures in place of video, for browsers without WebCodecs: what a `VideoDecoder` and its frames are to the player.

/** As a `VideoFrame`, but for its timestamp, which is not its own. */
export class Still {
  /**
   * @param {ImageBitmap} image
   * @param {number} timestamp
   */
  constructor(image, timestamp) {
    this.image = image;
    this.timestamp = timestamp;
    this.displayWidth = image.width;
    this.displayHeight = image.height;
  }

  close() {
    this.image.close();
  }
}

export class StillDecoder {
  /** @param {{ output: (frame: Still) => void, error: (error: DOMException) => void }} callbacks */
  constructor({ output, error }) {
    this.output = output;
    this.error = error;
    this.state = "configured";
    this.decodeQueueSize = 0;
    this.last = Promise.resolve();
  }

  /** @param {{ timestamp: number, data: Uint8Array }} chunk */
  decode({ timestamp, data }) {
    this.decodeQueueSize += 1;
    const decoding = createImageBitmap(new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (data)], { type: "image/jpeg" }));
    // one after the other, whichever is done first
    this.last = this.last.then(() => decoding).then(
      (image) => {
        this.decodeQueueSize -= 1;
        const still = new Still(image, timestamp);
        if (this.state === "closed") still.close();
        else this.output(still);
      },
      (error) => {
        if (this.state === "closed") return;
        this.state = "closed";
        this.error(error);
      },
    );
  }

  close() {
    this.state = "closed";
  }
}
