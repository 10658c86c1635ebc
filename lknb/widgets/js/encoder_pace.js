// When an encoder takes the next picture. What waits in an encoder is late by as many times what one takes as there are.

/** Pictures in an encoder, at most. */
const ENCODING = 4;
/** What is so old does not come any more. */
const ENCODED_WITHIN_US = 1_000_000;
/** Of an encoder that has given nothing yet: it has to be set up. */
const FIRST_PATIENCE_US = 100_000;

/**
 * One picture at a time, as long as the encoder answers. It need not: one that is to keep a bitrate leaves pictures out
 * without a word, and some give a picture back only when they have the next. So silence is judged as TCP judges it
 * (RFC 6298): beyond what is usual by four times its spread the encoder gets one more, and after twice that time another.
 */
export class EncoderPace {
  constructor() {
    /** What the encoder has, oldest first. @type {{ timestampUs: number, givenUs: number }[]} */
    this.pictures = [];
    this.cameUs = -Infinity;
    /** What a picture usually takes; 0 before the first. */
    this.tookUs = 0;
    this.variesUs = 0;
  }

  /**
   * Whether it is the encoder's turn.
   * @param {number} nowUs
   */
  takes(nowUs) {
    while (this.pictures[0]?.givenUs < nowUs - ENCODED_WITHIN_US) this.pictures.shift();
    const newest = this.pictures.at(-1);
    if (!newest) return true;
    const patienceUs = this.tookUs ? this.tookUs + 4 * this.variesUs : FIRST_PATIENCE_US;
    return this.pictures.length < ENCODING && nowUs - newest.givenUs >= patienceUs * 2 ** (this.pictures.length - 1);
  }

  /**
   * The encoder gets a picture.
   * @param {number} timestampUs by which it is known again
   * @param {number} nowUs
   */
  give(timestampUs, nowUs) {
    this.pictures.push({ timestampUs, givenUs: nowUs });
  }

  /**
   * The encoder has given a picture back. Those before it do not come any more.
   * @param {number} timestampUs
   * @param {number} nowUs
   */
  come(timestampUs, nowUs) {
    const newest = this.pictures.at(-1);
    if (!newest) return;
    // from when it had something new to do: it may have waited for that
    const tookUs = nowUs - Math.max(newest.givenUs, this.cameUs);
    const offUs = Math.abs(this.tookUs - tookUs);
    this.variesUs = this.tookUs ? this.variesUs + (offUs - this.variesUs) / 4 : tookUs / 2;
    this.tookUs = this.tookUs ? this.tookUs + (tookUs - this.tookUs) / 8 : tookUs;
    this.cameUs = nowUs;
    while (this.pictures[0]?.timestampUs <= timestampUs) this.pictures.shift();
  }
}
