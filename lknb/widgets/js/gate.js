// Which chunks go into the decoder, so that what comes out is whole and never old.

/** Chunks waiting in the decoder before the page counts as behind: a quarter of a second at 30 frames a second. */
export const QUEUE_CHUNKS = 8;
/** Between two requests for a key frame. */
export const KEYFRAME_INTERVAL_MS = 500;

/**
 * A codec cannot skip one frame and go on: after a gap, a fault, or when the decoder is behind, everything is dropped up to
 * the next key frame, which is asked for.
 */
export class Gate {
  constructor() {
    this.needsKeyframe = true;
    this.nextSequence = 0;
    this.askedAtMs = -Infinity;
  }

  /**
   * Whether to decode the chunk.
   * @param {number} sequence
   * @param {boolean} keyframe
   * @param {number} queued chunks the decoder has not begun yet
   */
  admits(sequence, keyframe, queued) {
    if (sequence !== this.nextSequence || queued > QUEUE_CHUNKS) this.needsKeyframe = true;
    this.nextSequence = sequence + 1;
    if (keyframe && queued <= QUEUE_CHUNKS) this.needsKeyframe = false;
    return !this.needsKeyframe;
  }

  /** The decoder has failed. */
  fail() {
    this.needsKeyframe = true;
  }

  /**
   * Whether to ask for a key frame now; true counts as asked.
   * @param {number} nowMs
   */
  asks(nowMs) {
    if (!this.needsKeyframe || nowMs - this.askedAtMs < KEYFRAME_INTERVAL_MS) return false;
    this.askedAtMs = nowMs;
    return true;
  }
}
