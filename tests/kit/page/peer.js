// One participant on the official livekit-client, driven from Python: `window.peer.<operation>(arguments)`.
// The operations and their answers are those of tests/kit/peer.py; tests/kit/room_child.py is the same for livekit.rtc.

import { Room, RoomEvent, Track, VideoQuality, DataPacket_Kind, setLogLevel } from "/livekit-client/livekit-client.esm.mjs";
import { AudioReader, VideoReader } from "./reader.js";
import { CanvasSource, ToneSource } from "./source.js";

const EVENTS = [
  RoomEvent.ParticipantConnected, RoomEvent.ParticipantDisconnected, RoomEvent.TrackPublished, RoomEvent.TrackUnpublished,
  RoomEvent.TrackSubscribed, RoomEvent.TrackUnsubscribed, RoomEvent.TrackMuted, RoomEvent.TrackUnmuted,
  RoomEvent.LocalTrackPublished, RoomEvent.ActiveSpeakersChanged, RoomEvent.ConnectionStateChanged,
  RoomEvent.SignalReconnecting, RoomEvent.Reconnecting, RoomEvent.Reconnected, RoomEvent.Disconnected,
  RoomEvent.TrackSubscriptionFailed, RoomEvent.TrackStreamStateChanged, RoomEvent.TrackSubscriptionPermissionChanged,
  RoomEvent.ConnectionQualityChanged,
];

/** @param {string} name */
const snakeCase = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** @param {Uint8Array} bytes */
const toBase64 = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));

/** @param {string} text */
const fromBase64 = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

setLogLevel("warn");

/** @type {RTCPeerConnection[]} */
const connections = [];
/** @type {Worker | undefined} */
let tap;
window.RTCPeerConnection = class extends RTCPeerConnection {
  /** @param {RTCConfiguration} [configuration] */
  constructor(configuration) {
    super(configuration);
    connections.push(this);
    this.addEventListener("track", ({ receiver }) => tapInto(receiver));
  }

  /** @param {MediaStreamTrack | string} kind @param {RTCRtpTransceiverInit} [init] */
  addTransceiver(kind, init) {
    const transceiver = super.addTransceiver(kind, init);
    tapInto(transceiver.sender);
    tapInto(transceiver.receiver);
    return transceiver;
  }
};

/** @param {RTCRtpSender | RTCRtpReceiver} way Pictures pass by unseen once the first has. */
function tapInto(way) {
  if (tap && !way.transform && (way.track?.kind ?? "") === "video") way.transform = new RTCRtpScriptTransform(tap);
}

class PagePeer {
  constructor() {
    /** @type {import("livekit-client").Room | undefined} */
    this.room = undefined;
    /** @type {Record<string, unknown>[]} */
    this.happened = [];
    /** @type {Map<string, AudioReader | VideoReader>} */
    this.readers = new Map();
    /** @type {Map<string, number>} */
    this.subscriptions = new Map();
    /** @type {Map<string, HTMLVideoElement>} */
    this.shown = new Map();
    this.reading = true;
    /** @type {Map<string, CanvasSource | ToneSource | undefined>} */
    this.sources = new Map();
  }

  /** @param {Record<string, any>} options */
  async connect({ url, token, single_peer_connection, auto_subscribe, dynacast, adaptive_stream = false }) {
    const room = new Room({
      singlePeerConnection: single_peer_connection,
      dynacast,
      adaptiveStream: adaptive_stream,
      disconnectOnPageLeave: false,
    });
    this.room = room;
    for (const name of EVENTS) {
      room.on(/** @type {any} */ (name), (/** @type {any[]} */ ...values) => this.#record(name, values));
    }
    room.on(RoomEvent.DataReceived, (payload, participant, kind, topic) => {
      this.happened.push({
        name: "data_received", at_s: performance.now() / 1000, payload: toBase64(payload), topic: topic ?? "",
        participant: participant?.identity ?? "", reliable: kind === DataPacket_Kind.RELIABLE,
      });
    });
    await room.connect(url, token, { autoSubscribe: auto_subscribe });
    return { sid: room.localParticipant.sid };
  }

  /** @param {string} name @param {any[]} values */
  #record(name, values) {
    /** @type {Record<string, unknown>} */
    const event = { name: snakeCase(name), at_s: performance.now() / 1000 };
    for (const value of values) {
      if (Array.isArray(value)) event.speakers = value.map((participant) => participant.identity);
      else if (value?.identity !== undefined) event.participant = value.identity;
      else if (value?.trackSid !== undefined) event.track_sid = value.trackSid;
      else if (value?.sid !== undefined) event.track_sid = value.sid;
      else if (typeof value === "string" || typeof value === "number") event.text = String(value);
    }
    this.happened.push(event);
    if (name === RoomEvent.TrackSubscribed) this.#openReader(values[0]);
    if (name === RoomEvent.TrackUnsubscribed) this.#closeReader(String(event.track_sid));
  }

  /** @param {import("livekit-client").RemoteTrack} track */
  #openReader(track) {
    const sid = track.sid ?? "";
    this.#closeReader(sid);
    const subscription = (this.subscriptions.get(sid) ?? 0) + 1;
    this.subscriptions.set(sid, subscription);
    if (!this.reading) return;
    const Reader = track.kind === Track.Kind.Video ? VideoReader : AudioReader;
    this.readers.set(sid, new Reader(track, subscription));
  }

  /** @param {string} sid */
  #closeReader(sid) {
    this.readers.get(sid)?.close();
    this.readers.delete(sid);
  }

  get #local() {
    if (!this.room) throw new Error("not connected");
    return this.room.localParticipant;
  }

  async disconnect() {
    for (const source of this.sources.values()) source?.close();
    await this.room?.disconnect();
  }

  /** @param {Record<string, any>} options */
  async publish_video({ colour, width, height, frame_rate, simulcast, codec }) {
    const source = new CanvasSource(colour, width, height, frame_rate);
    const publication = await this.#local.publishTrack(source.track, {
      source: Track.Source.Camera, name: "camera", simulcast, videoCodec: codec,
      // a busy machine must cost frames and not layers: the rows ask for each size
      degradationPreference: "maintain-resolution",
    });
    this.sources.set(publication.trackSid, source);
    return publication.trackSid;
  }

  /** @param {Record<string, any>} options The browser's own camera; `layers` as livekit-client chooses them. */
  async publish_camera({ width, height, frame_rate, simulcast, codec }) {
    const resolution = { width, height, frameRate: frame_rate };
    await this.#local.setCameraEnabled(true, { resolution }, {
      simulcast, videoCodec: codec, degradationPreference: "maintain-resolution",
    });
    const publication = this.#local.getTrackPublication(Track.Source.Camera);
    if (!publication) throw new Error("setCameraEnabled published nothing");
    this.sources.set(publication.trackSid, undefined);
    return publication.trackSid;
  }

  /** @param {Record<string, any>} options */
  async publish_audio({ frequency_hz }) {
    const source = new ToneSource(frequency_hz);
    const publication = await this.#local.publishTrack(source.track, { source: Track.Source.Microphone, name: "microphone" });
    this.sources.set(publication.trackSid, source);
    return publication.trackSid;
  }

  /** @param {Record<string, any>} options */
  set_colour({ track_sid, colour }) {
    const source = this.sources.get(track_sid);
    if (source instanceof CanvasSource) source.colour = colour;
  }

  /** @param {string} sid */
  #published(sid) {
    const publication = this.#local.trackPublications.get(sid);
    if (!publication?.track) throw new Error(`no published track ${sid}`);
    return { publication, track: publication.track };
  }

  /** @param {Record<string, any>} options */
  async publish_again({ track_sid }) {
    const { track } = this.#published(track_sid);
    const media = track.mediaStreamTrack;
    await this.#local.unpublishTrack(media, false);
    const publication = await this.#local.publishTrack(media, {
      source: track.source, name: "camera", simulcast: false, videoCodec: "vp8",
    });
    this.sources.set(publication.trackSid, this.sources.get(track_sid));
    this.sources.delete(track_sid);
    return publication.trackSid;
  }

  /** @param {Record<string, any>} options */
  async unpublish({ track_sid }) {
    const { track } = this.#published(track_sid);
    await this.#local.unpublishTrack(track);
    this.sources.get(track_sid)?.close();
  }

  /** @param {Record<string, any>} options */
  async set_muted({ track_sid, muted }) {
    const { publication } = this.#published(track_sid);
    await (muted ? publication.mute() : publication.unmute());
  }

  /** @param {string} sid @returns {import("livekit-client").RemoteTrackPublication} */
  #remote(sid) {
    for (const participant of this.room?.remoteParticipants.values() ?? []) {
      const publication = participant.trackPublications.get(sid);
      if (publication) return /** @type {any} */ (publication);
    }
    throw new Error(`no remote track ${sid}`);
  }

  /** @param {Record<string, any>} options */
  set_subscribed({ track_sid, subscribed }) {
    this.#remote(track_sid).setSubscribed(subscribed);
  }

  /** @param {Record<string, any>} options */
  set_video_quality({ track_sid, quality }) {
    const qualities = { low: VideoQuality.LOW, medium: VideoQuality.MEDIUM, high: VideoQuality.HIGH };
    this.#remote(track_sid).setVideoQuality(qualities[/** @type {"low"} */ (quality)]);
  }

  /** @param {Record<string, any>} options `tracks`: the sids each identity may subscribe to, null for all of them. */
  set_track_permissions({ everybody, tracks }) {
    const permissions = Object.entries(tracks).map(([identity, sids]) => ({
      participantIdentity: identity, allowAll: sids === null, allowedTrackSids: sids ?? [],
    }));
    this.#local.setTrackSubscriptionPermissions(everybody, permissions);
  }

  /** @param {Record<string, any>} options */
  set_enabled({ track_sid, enabled }) {
    this.#remote(track_sid).setEnabled(enabled);
  }

  /** @param {Record<string, any>} options */
  set_video_dimensions({ track_sid, width, height }) {
    this.#remote(track_sid).setVideoDimensions({ width, height });
  }

  /** @param {Record<string, any>} options Show a track in one element of this size, in CSS pixels, that can be seen; there
   * are no readers from then on, as each has an element of its own. */
  show({ track_sid, width, height }) {
    this.hide({ track_sid });
    this.#closeReader(track_sid);
    this.reading = false;
    const element = document.createElement("video");
    Object.assign(element.style, { position: "fixed", top: "0", left: "0", width: `${width}px`, height: `${height}px` });
    document.body.append(element);
    this.shown.set(track_sid, element);
    this.#remote(track_sid).track?.attach(element);
  }

  /** @param {Record<string, any>} options */
  hide({ track_sid }) {
    const element = this.shown.get(track_sid);
    if (!element) return;
    this.#remote(track_sid).track?.detach(element);
    element.remove();
    this.shown.delete(track_sid);
  }

  /** @param {Record<string, any>} options */
  set_video_fps({ track_sid, fps }) {
    this.#remote(track_sid).setVideoFPS(fps);
  }

  /** @param {Record<string, any>} options Ask for something; milliseconds until a picture of that height is shown. */
  async time_picture({ wish, shown, deadline_s, ...options }) {
    const reader = this.readers.get(options.track_sid);
    if (!(reader instanceof VideoReader)) throw new Error(`no reader of ${options.track_sid}`);
    const began = performance.now();
    /** @type {any} */ (this)[wish](options);
    return (await reader.pictureOf(shown, deadline_s * 1000)) - began;
  }

  /** Bytes of media that all connections of this page have received so far. */
  async media_bytes() {
    let bytes = 0;
    for (const connection of connections) {
      for (const stat of (await connection.getStats()).values()) {
        if (stat.type === "inbound-rtp") bytes += stat.bytesReceived + stat.headerBytesReceived;
      }
    }
    return bytes;
  }

  /** @param {Record<string, any>} options What Chromium counts of a stream it receives. */
  async inbound({ track_sid }) {
    const stats = await this.#remote(track_sid).track?.receiver?.getStats();
    for (const stat of stats?.values() ?? []) {
      if (stat.type !== "inbound-rtp") continue;
      return {
        bytes_received: stat.bytesReceived, packets_received: stat.packetsReceived, packets_lost: stat.packetsLost,
        frames_received: stat.framesReceived ?? 0, frames_decoded: stat.framesDecoded ?? 0,
        frames_dropped: stat.framesDropped ?? 0, key_frames_decoded: stat.keyFramesDecoded ?? 0,
        freeze_count: stat.freezeCount ?? 0, freezes_s: stat.totalFreezesDuration ?? 0, pli_count: stat.pliCount ?? 0,
        nack_count: stat.nackCount ?? 0, concealed_samples: stat.concealedSamples ?? 0,
      };
    }
    return null;
  }

  /** Note every encoded picture that is sent or received over connections made from now on. */
  tap_pictures() {
    tap = new Worker("/tap.js");
  }

  /** All that was noted. */
  tapped() {
    return new Promise((resolve) => {
      if (!tap) throw new Error("tap_pictures comes first");
      tap.onmessage = (event) => resolve(event.data);
      tap.postMessage("");
    });
  }

  /** @param {Record<string, any>} options */
  async send_data({ payload, reliable, topic, to }) {
    await this.#local.publishData(fromBase64(payload), { reliable, topic, destinationIdentities: to });
  }

  events() {
    return this.happened;
  }

  participants() {
    return Array.from(this.room?.remoteParticipants.values() ?? [], (participant) => participant.identity);
  }

  tracks() {
    /** @type {Record<string, unknown>} */
    const tracks = {};
    for (const participant of this.room?.remoteParticipants.values() ?? []) {
      for (const [sid, publication] of participant.trackPublications) {
        const codec = publication.mimeType?.split("/")[1]?.toLowerCase() ?? "";
        tracks[sid] = { participant: participant.identity, muted: publication.isMuted, codec };
      }
    }
    return tracks;
  }

  /** @param {Record<string, any>} options */
  async video({ track_sid }) {
    const reader = this.readers.get(track_sid);
    return reader instanceof VideoReader ? reader.report() : null;
  }

  /** @param {Record<string, any>} options */
  async audio({ track_sid }) {
    const reader = this.readers.get(track_sid);
    return reader instanceof AudioReader ? reader.report() : null;
  }

  /** @param {Record<string, any>} options Layers of a published track of which the server has answered a sender report. */
  async reports_answered({ track_sid }) {
    const stats = await this.#published(track_sid).track.sender?.getStats();
    return Array.from(stats?.values() ?? []).filter(
      (stat) => stat.type === "remote-inbound-rtp" && stat.roundTripTimeMeasurements > 0,
    ).length;
  }

  /** @param {Record<string, any>} options What is sent of one published video track, a layer each. */
  async layers({ track_sid }) {
    const { track } = this.#published(track_sid);
    const stats = await track.sender?.getStats();
    const layers = [];
    for (const stat of stats?.values() ?? []) {
      if (stat.type !== "outbound-rtp") continue;
      layers.push({
        rid: stat.rid ?? "", width: stat.frameWidth ?? 0, height: stat.frameHeight ?? 0, active: stat.active,
        frames_sent: stat.framesSent ?? 0, bytes_sent: stat.bytesSent,
        limited_by: stat.qualityLimitationReason ?? "",
        codec: (stats?.get(stat.codecId)?.mimeType ?? "").split("/").pop().toLowerCase(),
      });
    }
    return layers;
  }
}

Object.assign(window, { peer: new PagePeer() });
