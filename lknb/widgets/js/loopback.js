// Sound on its way out through a pair of peer connections inside the page. Chromium cancels the echo of what it receives over
// one (27 to 33 dB), and of nothing else that a page plays.

import { followSpeaker, unfollowSpeaker } from "./speaker.js";

/** Speech and music as they are, not what calls make of them to save bits. */
const OPUS_PARAMETERS = "stereo=1;sprop-stereo=1;maxaveragebitrate=256000;cbr=0;usedtx=0";

export class Loopback {
  /** Whether this browser cancels the echo of received sound only: Chromium and its kin. */
  static isNeeded() {
    return typeof RTCPeerConnection !== "undefined" && "userAgentData" in navigator;
  }

  /**
   * @param {AudioContext} context
   * @param {AudioNode} output what is to be heard
   */
  constructor(context, output) {
    this.context = context;
    this.output = output;
    this.closed = false;
    this.entry = context.createMediaStreamDestination();
    this.near = new RTCPeerConnection();
    this.far = new RTCPeerConnection();
    this.element = new Audio();
    this.element.autoplay = true;
    followSpeaker(this.element);
    // until it stands the sound goes straight out: an echo for a moment is better than a gap
    output.connect(context.destination);
    this.#connect().catch(() => this.close());
  }

  /** Nothing goes round any more; what is to be heard is connected to nothing. */
  close() {
    if (this.closed) return;
    this.closed = true;
    this.near.close();
    this.far.close();
    unfollowSpeaker(this.element);
    this.element.pause();
    this.element.srcObject = null;
  }

  async #connect() {
    const { near, far } = this;
    near.onicecandidate = ({ candidate }) => void far.addIceCandidate(candidate ?? undefined).catch(() => {});
    far.onicecandidate = ({ candidate }) => void near.addIceCandidate(candidate ?? undefined).catch(() => {});
    far.ontrack = ({ streams }) => {
      this.element.srcObject = streams[0];
      this.element.play().catch(() => {});
    };
    near.onconnectionstatechange = () => {
      if (near.connectionState === "connected") this.#turn();
      else if (near.connectionState === "failed") this.#giveUp();
    };
    this.entry.stream.getTracks().forEach((track) => near.addTrack(track, this.entry.stream));
    const offer = await near.createOffer();
    await near.setLocalDescription(offer);
    await far.setRemoteDescription(offer);
    const answer = await far.createAnswer();
    const sdp = (answer.sdp ?? "").replace(/(a=fmtp:\d+ [^\r\n]*useinbandfec=1)/, `$1;${OPUS_PARAMETERS}`);
    await far.setLocalDescription({ type: "answer", sdp });
    await near.setRemoteDescription({ type: "answer", sdp });
  }

  #turn() {
    if (this.closed) return;
    this.output.disconnect(this.context.destination);
    this.output.connect(this.entry);
  }

  /** The machine has slept for long. An echo is better than silence. */
  #giveUp() {
    if (this.closed) return;
    this.output.disconnect();
    this.output.connect(this.context.destination);
    this.close();
  }
}
