// The last picture of a track, and the canvases that show it.

/** Longest side of a picture for the saved notebook; larger ones would make notebooks heavy. */
const PICTURE_SIDE_PIXELS = 480;
/** What the core takes. */
const PICTURE_BYTES = 1024 * 1024;

/** @typedef {VideoFrame | import("./still.js").Still} Picture */
/** @typedef {{ canvas: OffscreenCanvas, context: OffscreenCanvasRenderingContext2D, shown: boolean }} Easel */

export class Painter {
  constructor() {
    /** @type {Map<number, Easel>} */
    this.easels = new Map();
    /** @type {Picture | null} */
    this.frame = null;
    this.pictured = true;
  }

  /**
   * @param {number} id
   * @param {OffscreenCanvas} canvas
   */
  add(id, canvas) {
    const context = canvas.getContext("2d", { alpha: false });
    if (context) this.easels.set(id, { canvas, context, shown: false });
  }

  /** @param {number} id */
  remove(id) {
    this.easels.delete(id);
  }

  /**
   * A canvas nobody sees is not painted; it gets the present picture when it comes into sight.
   * @param {number} id
   * @param {boolean} shown
   */
  show(id, shown) {
    const easel = this.easels.get(id);
    if (!easel) return;
    easel.shown = shown;
    if (shown && this.frame) this.#draw(easel, this.frame);
  }

  /**
   * Takes the frame over.
   * @param {Picture} frame
   */
  paint(frame) {
    this.frame?.close();
    this.frame = frame;
    this.pictured = false;
    for (const easel of this.easels.values()) {
      if (easel.shown) this.#draw(easel, frame);
    }
  }

  /** Forget the last picture. */
  clear() {
    this.frame?.close();
    this.frame = null;
    this.pictured = true;
  }

  /**
   * @param {Easel} easel
   * @param {Picture} frame
   */
  #draw({ canvas, context }, frame) {
    if (canvas.width !== frame.displayWidth || canvas.height !== frame.displayHeight) {
      canvas.width = frame.displayWidth;
      canvas.height = frame.displayHeight;
    }
    context.drawImage(imageOf(frame), 0, 0, canvas.width, canvas.height);
  }

  /**
   * The last picture as a PNG, or null when there is none that was not given before.
   * @returns {Promise<{ width: number, height: number, png: Uint8Array } | null>}
   */
  async picture() {
    if (!this.frame || this.pictured) return null;
    this.pictured = true;
    let scale = Math.min(1, PICTURE_SIDE_PIXELS / Math.max(this.frame.displayWidth, this.frame.displayHeight));
    let canvas = new OffscreenCanvas(this.frame.displayWidth * scale, this.frame.displayHeight * scale);
    canvas.getContext("2d", { alpha: false })?.drawImage(imageOf(this.frame), 0, 0, canvas.width, canvas.height);
    for (;;) {
      const blob = await canvas.convertToBlob({ type: "image/png" });
      if (blob.size <= PICTURE_BYTES) {
        return { width: canvas.width, height: canvas.height, png: new Uint8Array(await blob.arrayBuffer()) };
      }
      const smaller = new OffscreenCanvas(canvas.width / 2, canvas.height / 2);
      smaller.getContext("2d", { alpha: false })?.drawImage(canvas, 0, 0, smaller.width, smaller.height);
      canvas = smaller;
    }
  }
}

/** @param {Picture} frame */
function imageOf(frame) {
  return "image" in frame ? frame.image : frame;
}
