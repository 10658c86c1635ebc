// The sound of a room, from its lane to the audio thread of the page. Runs in a Worker: the page, busy or not, is on no part of
// that way.

const ACK_INTERVAL_MS = 250;
const LEVELS_INTERVAL_MS = 100;
/** Packets the decoder has not begun; beyond it they would come too late in any case. */
const QUEUE_PACKETS = 25;

/**
 * @typedef {object} Heard
 * @property {HeardTrack} track
 * @property {AudioDecoder | null} decoder
 * @property {number[]} positions of the packets in the decoder
 * @property {number} level
 */

export class Listener {
  /**
   * @param {(header: Record<string, unknown>) => void} say to the core
   * @param {(event: ListenerEvent) => void} tell to the page
   */
  constructor(say, tell) {
    this.say = say;
    this.tell = tell;
    /** The way to the audio thread. @type {MessagePort | null} */
    this.sink = null;
    this.blocked = true;
    this.state = "";
    /** By participant sid; 1 for who is not in it. @type {Record<string, number>} */
    this.gains = {};
    /** @type {Map<number, Heard>} */
    this.tracks = new Map();
    this.handled = -1;
    this.acknowledged = -1;
    this.ackedAtMs = -Infinity;
    this.ackTimer = 0;
    this.levelsAtMs = -Infinity;
  }

  /** The lane is open: numbers begin anew. */
  open() {
    this.reset();
    this.handled = this.acknowledged = -1;
    this.state = "";
    this.#tellState();
  }

  /** The lane is gone: nothing of it may sound on, and its indexes mean nothing any more. */
  reset() {
    clearTimeout(this.ackTimer);
    this.ackTimer = 0;
    [...this.tracks.keys()].forEach((index) => this.#drop(index));
  }

  /**
   * Where the sound goes, and whether it is heard there: while it is not, none is kept for later.
   * @param {MessagePort | null} sink
   * @param {boolean} blocked
   */
  connect(sink, blocked) {
    if (sink) this.sink = sink;
    this.blocked = blocked;
    if (blocked) this.tracks.forEach((_, index) => this.#play({ type: "flush", index }));
    else this.tracks.forEach((heard) => this.#setGain(heard.track));
    this.#tellState();
  }

  /** @param {Record<string, number>} gains */
  setGains(gains) {
    this.gains = gains;
    this.tracks.forEach((heard) => this.#setGain(heard.track));
  }

  /**
   * A message of the core.
   * @param {Record<string, any>} header
   * @param {Uint8Array[]} buffers
   */
  handle(header, buffers) {
    if (header.type === "sound") this.#receive(header, buffers);
    else if (header.type === "tracks") this.#follow(header.tracks);
    else if (header.type === "ended") {
      this.reset();
      this.tell({ type: "ended" });
    }
  }

  /** @param {[number, string, string, boolean][]} listed */
  #follow(listed) {
    const tracks = listed.map(([index, sid, participant, muted]) => ({ index, sid, participant, muted }));
    const present = new Set(tracks.map((track) => track.index));
    [...this.tracks.keys()].filter((index) => !present.has(index)).forEach((index) => this.#drop(index));
    for (const track of tracks) {
      const heard = this.tracks.get(track.index);
      if (!heard) {
        this.tracks.set(track.index, { track, decoder: null, positions: [], level: 0 });
        this.#setGain(track);
        continue;
      }
      if (track.muted && !heard.track.muted) this.#silence(heard);
      heard.track = track;
    }
    this.tell({ type: "tracks", tracks });
  }

  /**
   * @param {Record<string, any>} header
   * @param {Uint8Array[]} buffers
   */
  #receive({ sequence, packets }, buffers) {
    this.handled = sequence;
    const waitMs = this.ackedAtMs + ACK_INTERVAL_MS - performance.now();
    if (waitMs <= 0) this.#acknowledge();
    else if (!this.ackTimer) this.ackTimer = setTimeout(() => this.#acknowledge(), waitMs);
    if (this.blocked || !this.sink) return;
    packets.forEach((/** @type {[number, number]} */ [index, timestamp], /** @type {number} */ at) => {
      const heard = this.tracks.get(index);
      if (heard && !heard.track.muted) this.#decode(heard, timestamp, buffers[at]);
    });
  }

  /**
   * @param {Heard} heard
   * @param {number} timestamp
   * @param {Uint8Array} data
   */
  #decode(heard, timestamp, data) {
    heard.decoder ??= this.#open(heard);
    if (heard.decoder.decodeQueueSize > QUEUE_PACKETS) return;
    // Chromium counts on from the first timestamp and knows of no holes, so the place of each packet is kept here
    heard.positions.push(Math.round((timestamp * 48) / 1_000));
    heard.decoder.decode(new EncodedAudioChunk({ type: "key", timestamp, data }));
  }

  /** @param {Heard} heard */
  #open(heard) {
    heard.positions = [];
    const decoder = new AudioDecoder({
      output: (sound) => {
        if (decoder === heard.decoder) this.#hear(heard, sound);
        sound.close();
      },
      error: ({ name, message }) => {
        if (decoder !== heard.decoder) return;
        // one packet was no Opus; the next one gets a new decoder, unless there is none to be had
        heard.decoder = null;
        if (name === "NotSupportedError") this.tell({ type: "unsupported", detail: message });
      },
    });
    decoder.configure({ codec: "opus", sampleRate: 48_000, numberOfChannels: 2 });
    return decoder;
  }

  /**
   * @param {Heard} heard
   * @param {AudioData} sound
   */
  #hear(heard, sound) {
    const channels = Array.from({ length: Math.min(2, sound.numberOfChannels) }, (_, planeIndex) => {
      const samples = new Float32Array(sound.numberOfFrames);
      sound.copyTo(samples, { planeIndex, format: "f32-planar" });
      return samples;
    });
    heard.level = Math.max(heard.level, levelOf(channels[0]));
    const position = heard.positions.shift() ?? 0;
    const transfer = channels.map((samples) => samples.buffer);
    this.#play({ type: "sound", index: heard.track.index, position, channels }, transfer);
    if (performance.now() - this.levelsAtMs >= LEVELS_INTERVAL_MS) this.#tellLevels();
  }

  #tellLevels() {
    this.levelsAtMs = performance.now();
    /** @type {Record<string, number>} */
    const levels = {};
    this.tracks.forEach((heard) => {
      levels[heard.track.sid] = heard.level;
      heard.level = 0;
    });
    this.tell({ type: "levels", levels });
  }

  /** @param {Heard} heard */
  #silence(heard) {
    // what the decoder still holds is not to be heard either
    if (heard.decoder && heard.decoder.state !== "closed") heard.decoder.close();
    heard.decoder = null;
    heard.level = 0;
    this.#play({ type: "flush", index: heard.track.index });
  }

  /** @param {number} index */
  #drop(index) {
    const heard = this.tracks.get(index);
    if (heard) this.#silence(heard);
    this.tracks.delete(index);
    this.#play({ type: "drop", index });
  }

  /** @param {HeardTrack} track */
  #setGain({ index, participant }) {
    this.#play({ type: "gain", index, gain: this.gains[participant] ?? 1 });
  }

  /**
   * @param {MixerCommand} command
   * @param {Transferable[]} [transfer]
   */
  #play(command, transfer = []) {
    this.sink?.postMessage(command, transfer);
  }

  #tellState() {
    const state = this.blocked ? "blocked" : "playing";
    if (state === this.state || !this.sink) return;
    this.state = state;
    this.say({ type: "sound", state });
  }

  #acknowledge() {
    clearTimeout(this.ackTimer);
    this.ackTimer = 0;
    if (this.handled === this.acknowledged) return;
    this.acknowledged = this.handled;
    this.ackedAtMs = performance.now();
    this.say({ type: "ack", sequence: this.handled });
  }
}

/**
 * The loudness of samples, from 0 to 1 on a scale of 60 dB, as meters have it.
 * @param {Float32Array} samples
 */
export function levelOf(samples) {
  const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
  return power > 0 ? Math.min(1, Math.max(0, 1 + (10 * Math.log10(power)) / 60)) : 0;
}
