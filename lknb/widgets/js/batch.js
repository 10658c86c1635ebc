// The way up: chunks of all captures, few messages, and never more than the lane bears.

/** @typedef {import("./channel.js").Channel} Channel */
/** @typedef {{ capture: number, rid: string, timestamp_us: number, keyframe: boolean, width?: number, height?: number, audio_level?: number }} ChunkHeader */

/** Over the comm the page gathers them once more, with what its other lanes say. @type {Record<string, number>} */
const BATCH_MS = { direct: 8, proxy: 12, comm: 30 };
const BATCH_CHUNKS = 60;
/** A lane takes messages of one MiB. */
export const BATCH_BYTES = 1_000_000;
/** In the socket; a second of video at a low rate. */
const BUFFERED_BYTES = 256_000;
/** What was sent so long ago and is not acknowledged shows that the lane is behind. The core acknowledges every 250 ms. */
const BEHIND_MS = 1_200;

export class Batch {
  constructor() {
    /** @type {Channel | null} */
    this.channel = null;
    /** @type {{ header: ChunkHeader, data: Uint8Array }[]} */
    this.pending = [];
    this.pendingBytes = 0;
    this.sequence = 0;
    /** When the messages that are not acknowledged were sent, oldest first. @type {{ sequence: number, atMs: number }[]} */
    this.unacknowledged = [];
    this.flushedAtMs = -Infinity;
    this.timer = 0;
  }

  /** @param {Channel | null} channel */
  use(channel) {
    this.channel = channel;
    this.sequence = 0;
    this.unacknowledged = [];
    this.#forget();
  }

  /**
   * @param {ChunkHeader} header
   * @param {Uint8Array} data
   */
  add(header, data) {
    if (!this.channel) return;
    if (this.pendingBytes + data.byteLength > BATCH_BYTES) this.flush();
    this.pending.push({ header, data });
    this.pendingBytes += data.byteLength;
    // a page in the background runs its timers late: what has waited long enough goes at once
    const waitMs = this.flushedAtMs + BATCH_MS[this.channel.name] - performance.now();
    if (waitMs <= 0 || this.pending.length >= BATCH_CHUNKS) this.flush();
    else if (!this.timer) this.timer = setTimeout(() => this.flush(), waitMs);
  }

  flush() {
    const { pending } = this;
    this.#forget();
    if (!pending.length || !this.channel) return;
    const atMs = performance.now();
    this.flushedAtMs = atMs;
    this.unacknowledged.push({ sequence: this.sequence, atMs });
    const header = { type: "media", sequence: this.sequence, chunks: pending.map((chunk) => chunk.header) };
    this.sequence += 1;
    this.channel.send(header, pending.map((chunk) => chunk.data));
  }

  /** @param {number} sequence */
  acknowledge(sequence) {
    const rest = this.unacknowledged.findIndex((sent) => sent.sequence > sequence);
    this.unacknowledged = rest < 0 ? [] : this.unacknowledged.slice(rest);
  }

  /** For how long the core has said nothing about what it got, in milliseconds. */
  silentMs() {
    const [oldest] = this.unacknowledged;
    return oldest ? performance.now() - oldest.atMs : 0;
  }

  /** Whether pictures are to be left out: they would come too late, and make all that follows later. */
  isBehind() {
    return !this.channel || this.channel.waitingBytes > BUFFERED_BYTES || this.silentMs() > BEHIND_MS;
  }

  #forget() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.pending = [];
    this.pendingBytes = 0;
  }
}

/** A time line is moved when it is found to be off by so much for a while. */
const OFF_US = 40_000;
const WATCHED = 50;

/**
 * The time line of one capture on the page's clock, in microseconds. Things arrive late, and never early: the one that came
 * soonest shows how the two clocks lie. Once that is settled times do not creep; a device that lost some of its sound, or
 * slept, is followed in one step.
 */
export class TimeLine {
  /** @param {number} samples after which it is settled */
  constructor(samples) {
    this.left = samples;
    this.offsetUs = Infinity;
    this.lastUs = 0;
    this.watched = 0;
    this.soonestUs = Infinity;
  }

  get settled() {
    return this.left <= 0;
  }

  /**
   * Note an arrival, by which the settled line may be moved.
   * @param {number} us its own time
   * @param {number} nowUs the page's clock, now that it has arrived
   */
  note(us, nowUs) {
    const lateUs = nowUs - us - this.offsetUs;
    if (!this.settled) {
      this.left -= 1;
      this.offsetUs = Math.min(this.offsetUs, nowUs - us);
      return;
    }
    this.soonestUs = Math.min(this.soonestUs, lateUs);
    this.watched += 1;
    if (lateUs > -OFF_US && this.watched < WATCHED) return;
    if (Math.abs(this.soonestUs) >= OFF_US) this.offsetUs += this.soonestUs;
    this.watched = 0;
    this.soonestUs = Infinity;
  }

  /**
   * The page's time of a moment of its own, later than any before.
   * @param {number} us
   */
  at(us) {
    this.lastUs = Math.max(this.lastUs + 1, Math.round(us + this.offsetUs));
    return this.lastUs;
  }
}

/** The page's clock in microseconds since 1970, the same in all its threads. */
export function pageClockUs() {
  return (performance.timeOrigin + performance.now()) * 1000;
}
