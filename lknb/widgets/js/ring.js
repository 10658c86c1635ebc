// The sound of one track between its arrival and its turn to be heard. Runs in the audio thread of the page.
//
// A packet that is not there when its turn comes is heard as a fault, one that waits is heard late. So the wait follows what
// arrives: the wait of the quickest packet shall be the 95th percentile of how much later others come, and 20 ms. Whatever the
// wait is to become, it gets there where nobody hears it: packets of silence are left out, or played twice.

/** All lengths are in frames of one sample a channel, all times are frames of the audio clock, 48,000 a second. */
const MS = 48;
const CAPACITY = 2 ** 17;
const LEAST_WAIT = 40 * MS;
const MOST_WAIT = 300 * MS;
const MARGIN = 20 * MS;
/** More wait than this above what is aimed at is worth a packet of silence; much more is cut out of any sound. */
const SURPLUS = 25 * MS;
const EXCESS = 200 * MS;
/** A hole in the track up to this is a loss, and concealed; beyond it nothing was sent. */
const HOLE = 120 * MS;
/** A lost moment is filled with what was before it, mirrored, so that nothing clicks, and soon fading. */
const CONCEALED = 40 * MS;
/** Nothing to play for so long: the track begins anew. */
const IDLE = 100 * MS;
const FADE = 5 * MS;
/** -50 dB of full scale */
const QUIET = 0.003;
const DELAYS = 256;
const DELAYS_BETWEEN = 16;

export class Ring {
  constructor() {
    this.channels = [new Float32Array(CAPACITY), new Float32Array(CAPACITY)];
    /** What is held, counted without end. */
    this.from = 0;
    this.to = 0;
    /** Place in the track of the packet to come. */
    this.next = NaN;
    this.playing = false;
    this.playAt = 0;
    /** Frames since the sound ended at `edge`, and how far what follows still is from full. */
    this.missed = CONCEALED;
    this.edge = 0;
    this.rising = 0;
    this.wait = LEAST_WAIT;
    /** By how much the clock was ahead of the track at each arrival. @type {number[]} */
    this.delays = [];
    this.arrivals = 0;
    this.earliest = Infinity;
  }

  get depth() {
    return this.to - this.from;
  }

  /**
   * A decoded packet.
   * @param {number} position its place in the track
   * @param {Float32Array[]} channels one or two
   * @param {number} now the clock
   */
  push(position, channels, now) {
    const length = channels[0].length;
    const ahead = this.#observe(now - position);
    const hole = position - this.next;
    this.next = position + length;
    if (!this.playing && this.depth === 0) {
      this.playAt = now + this.wait;
      // it fades in from silence
      this.rising = FADE;
      this.missed = CONCEALED;
    } else if (hole > 0 && hole <= HOLE) {
      this.#conceal(hole, channels);
    }
    // how long the quickest packets wait
    const waited = this.playing ? this.depth + ahead : this.wait;
    if (waited > this.wait + SURPLUS && isQuiet(channels)) return;
    this.#write(channels);
    if (this.playing && waited < this.wait - length / 2 && isQuiet(channels)) this.#write(channels);
    if (this.depth > this.wait + EXCESS) this.#cut(this.depth - this.wait);
  }

  /**
   * Add what is to be heard now.
   * @param {Float32Array[]} output two channels
   * @param {number} now the clock
   * @param {number} gain at the beginning
   * @param {number} gainAfter at the end
   */
  mix(output, now, gain, gainAfter) {
    if (!this.playing) {
      if (this.depth === 0 || now < this.playAt) return;
      this.playing = true;
    }
    const length = output[0].length;
    const step = (gainAfter - gain) / length;
    for (let n = 0; n < length; n += 1) {
      const level = gain + step * n;
      const empty = this.depth === 0;
      if (empty) {
        if (this.rising === 0) {
          this.edge = this.to;
          this.missed = 0;
        }
        this.rising = FADE;
      }
      const rise = 1 - this.rising / FADE;
      if (!empty) {
        const at = this.from % CAPACITY;
        output[0][n] += this.channels[0][at] * level * rise;
        output[1][n] += this.channels[1][at] * level * rise;
        this.from += 1;
      }
      if (this.rising > 0) {
        const fading = (1 - this.missed / CONCEALED) * (1 - rise);
        if (fading > 0) {
          const at = (this.edge - 1 - this.missed + CAPACITY) % CAPACITY;
          output[0][n] += this.channels[0][at] * level * fading;
          output[1][n] += this.channels[1][at] * level * fading;
        }
        this.missed += 1;
        if (!empty) this.rising -= 1;
      }
    }
    if (this.missed >= IDLE) this.playing = false;
  }

  /** The track is silent from now on: nothing that waits may be heard, but no click either. */
  flush() {
    const kept = this.playing ? Math.min(this.depth, FADE) : 0;
    for (let n = 0; n < kept; n += 1) {
      const at = (this.from + n) % CAPACITY;
      this.channels.forEach((channel) => (channel[at] *= 1 - (n + 1) / kept));
    }
    this.to = this.from + kept;
    // the last of it is silence, which mirrored would come back as sound
    for (let n = 0; n < CONCEALED; n += 1) {
      const at = (this.to + n) % CAPACITY;
      this.channels.forEach((channel) => (channel[at] = 0));
    }
    if (kept) {
      this.to += CONCEALED;
    } else {
      this.playing = false;
    }
    this.next = NaN;
  }

  /** @param {number} delay */
  #observe(delay) {
    const last = this.delays.at(-1);
    // the track's own clock has leapt
    if (last !== undefined && Math.abs(delay - last) > 10 * CAPACITY) this.delays = [];
    this.delays.push(delay);
    if (this.delays.length > DELAYS) this.delays.shift();
    this.arrivals += 1;
    if (this.delays.length <= DELAYS_BETWEEN || this.arrivals % DELAYS_BETWEEN === 0) {
      const sorted = [...this.delays].sort((a, b) => a - b);
      this.earliest = sorted[0];
      const late = sorted[Math.ceil(sorted.length * 0.95) - 1] - this.earliest;
      this.wait = Math.min(MOST_WAIT, Math.max(LEAST_WAIT, late + MARGIN));
    }
    this.earliest = Math.min(this.earliest, delay);
    return delay - this.earliest;
  }

  /** @param {Float32Array[]} channels */
  #write(channels) {
    const length = channels[0].length;
    if (this.depth + length > CAPACITY - CONCEALED) this.from = this.to + length - CAPACITY + CONCEALED;
    this.channels.forEach((channel, index) => {
      const samples = channels[index] ?? channels[0];
      const at = this.to % CAPACITY;
      const first = Math.min(length, CAPACITY - at);
      channel.set(samples.subarray(0, first), at);
      channel.set(samples.subarray(first), 0);
    });
    this.to += length;
  }

  /**
   * Fill a hole, going over into what is behind it.
   * @param {number} length
   * @param {Float32Array[]} behind
   */
  #conceal(length, behind) {
    const lost = this.channels.map((channel, index) => {
      const mirrored = (/** @type {number} */ n) =>
        channel[(this.to - 1 - n + CAPACITY) % CAPACITY] * Math.max(0, 1 - n / CONCEALED);
      const samples = behind[index];
      for (let n = 0; samples && n < Math.min(FADE, samples.length); n += 1) {
        samples[n] = (samples[n] * n) / FADE + mirrored(length + n) * (1 - n / FADE);
      }
      return Float32Array.from({ length }, (_, n) => mirrored(n));
    });
    this.#write(lost);
  }

  /**
   * Leave out the oldest, going over from before it to behind it.
   * @param {number} length
   */
  #cut(length) {
    for (let n = 0; n < FADE; n += 1) {
      const before = (this.from + n) % CAPACITY;
      const behind = (this.from + length + n) % CAPACITY;
      this.channels.forEach((channel) => {
        channel[behind] = channel[before] * (1 - n / FADE) + (channel[behind] * n) / FADE;
      });
    }
    this.from += length;
  }
}

/** @param {Float32Array[]} channels */
function isQuiet(channels) {
  return channels.every((samples) => samples.every((sample) => Math.abs(sample) < QUIET));
}
