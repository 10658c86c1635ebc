// The entry of the Worker of a capturing page: the lane on one side, the page's devices on the other, encoders between them.

import { AudioUplink } from "./audio_uplink.js";
import { Batch } from "./batch.js";
import { Channel } from "./channel.js";
import { VideoUplink, encodableCodecs } from "./video_uplink.js";

/** What the core has not acknowledged for so long nobody takes any more: the kernel is gone, and no comm tells. */
const DEAD_MS = 10_000;
/** A lane that broke may come back; a device is not held for one that does not. */
const RELEASE_MS = 1_500;

class CaptureHub {
  /** @param {(event: CaptureEvent) => void} tell the page */
  constructor(tell) {
    this.tell = tell;
    this.batch = new Batch();
    /** @type {string[]} */
    this.codecs = [];
    /** @type {Map<number, VideoUplink | AudioUplink>} */
    this.uplinks = new Map();
    /** What the core said before the page had the device. @type {Map<number, Record<string, any>[]>} */
    this.early = new Map();
    /** @type {Channel | null} */
    this.channel = null;
    /** @type {Channel | null} */
    this.trying = null;
    this.releaseTimer = 0;
    setInterval(() => this.#watch(), 1_000);
  }

  /**
   * Open a lane; the one in use stays until the new one is open.
   * @param {import("./channel.js").Way} way
   * @param {string} client
   * @param {boolean} able whether the page may use devices at all
   */
  open(way, client, able) {
    this.trying?.close();
    const channel = new Channel(way);
    this.trying = channel;
    channel.onopen = () => {
      clearTimeout(this.releaseTimer);
      this.trying = null;
      this.channel?.close();
      this.channel = channel;
      this.batch.use(channel);
      channel.send({ type: "hello", lane: channel.name, client, codecs: this.codecs, captures: [...this.uplinks.keys()], able });
      this.tell({ type: "opened", name: channel.name });
    };
    channel.onmessage = (header) => this.handle(header);
    channel.onclose = (opened) => this.#lose(channel, opened);
  }

  /** Close the lane, and everything with it. */
  shut() {
    this.trying?.close();
    this.trying = null;
    this.channel?.close();
    this.channel = null;
    this.batch.use(null);
  }

  /** @param {Record<string, any>} header a command of the core */
  handle(header) {
    const { type, capture } = header;
    if (type === "ack") this.batch.acknowledge(header.sequence);
    else if (type === "encode" || type === "layers" || type === "keyframe") this.#direct(capture, header);
    else this.tell({ type: "command", header });
  }

  /** @param {Record<string, unknown>} header */
  say(header) {
    this.channel?.send(header);
  }

  /** @param {number} capture */
  video(capture) {
    const uplink = this.uplinks.get(capture);
    if (uplink instanceof VideoUplink) return uplink;
    return this.#add(capture, new VideoUplink(capture, this.batch, (codec) => this.tell({ type: "broken", capture, codec })));
  }

  /** @param {number} capture */
  audio(capture) {
    const uplink = this.uplinks.get(capture);
    if (uplink instanceof AudioUplink) return uplink;
    return this.#add(capture, new AudioUplink(capture, this.batch, (level) => this.tell({ type: "level", capture, level })));
  }

  /** @param {number} capture whose device is let go of */
  forget(capture) {
    const uplink = this.uplinks.get(capture);
    if (uplink instanceof VideoUplink) uplink.restart();
  }

  /** @param {number} capture */
  drop(capture) {
    this.uplinks.get(capture)?.close();
    this.uplinks.delete(capture);
    this.early.delete(capture);
  }

  /**
   * @template {VideoUplink | AudioUplink} Made
   * @param {number} capture
   * @param {Made} uplink
   */
  #add(capture, uplink) {
    this.uplinks.set(capture, uplink);
    const early = this.early.get(capture) ?? [];
    this.early.delete(capture);
    early.forEach((header) => this.#direct(capture, header));
    return uplink;
  }

  /**
   * @param {number} capture
   * @param {Record<string, any>} header
   */
  #direct(capture, header) {
    const uplink = this.uplinks.get(capture);
    if (!uplink) this.early.set(capture, [...(this.early.get(capture) ?? []), header].slice(-8));
    else if (header.type === "encode") uplink.encode(header);
    else if (uplink instanceof VideoUplink && header.type === "layers") uplink.want(header.layers);
    else if (uplink instanceof VideoUplink) uplink.refresh(header.rid);
  }

  #watch() {
    if (!this.channel || this.batch.silentMs() < DEAD_MS) return;
    this.channel.close();
    this.#lose(this.channel, true);
  }

  /**
   * @param {Channel} channel
   * @param {boolean} opened
   */
  #lose(channel, opened) {
    if (this.trying === channel) this.trying = null;
    if (this.channel === channel) {
      this.batch.use(null);
      this.channel = null;
      clearTimeout(this.releaseTimer);
      if (this.uplinks.size) this.releaseTimer = setTimeout(() => this.tell({ type: "release" }), RELEASE_MS);
    }
    this.tell({ type: "closed", name: channel.name, opened });
  }
}

const captureScope = /** @type {CaptureScope} */ (/** @type {unknown} */ (self));
const hub = new CaptureHub((event) => captureScope.postMessage(event));
const hubReady = encodableCodecs().then((codecs) => {
  hub.codecs = codecs;
});

/** @type {{ [K in CaptureCommand["type"]]: (command: Extract<CaptureCommand, { type: K }>) => void }} */
const CAPTURE_COMMANDS = {
  lane: ({ way, client, able }) => hub.open(way, client, able),
  shut: () => hub.shut(),
  say: ({ header }) => hub.say(header),
  video: ({ capture, readable }) => void hub.video(capture).read(readable),
  frame: ({ capture, frame }) => hub.video(capture).take(frame),
  forget: ({ capture }) => hub.forget(capture),
  sound: ({ capture, readable }) => void hub.audio(capture).read(readable),
  audio: ({ capture, port, sampleRate }) => hub.audio(capture).listen(port, sampleRate),
  pause: ({ capture, paused }) => hub.uplinks.get(capture)?.pause(paused),
  drop: ({ capture }) => hub.drop(capture),
};

// one after the other, also those that come before it is known what this browser encodes
captureScope.onmessage = ({ data }) => void hubReady.then(() => /** @type {(command: CaptureCommand) => void} */ (CAPTURE_COMMANDS[data.type])(data)).catch(reportError);
captureScope.postMessage({ type: "ready" });
