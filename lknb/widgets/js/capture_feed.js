// What devices give, on its way to the Worker: as it comes where the browser can hand it over, else by way of the page.

import { TAP_SOURCE } from "./inserted.js";

export class CaptureFeed {
  /** @param {(message: CaptureCommand, transfer?: Transferable[]) => void} command to the Worker */
  constructor(command) {
    this.command = command;
    /** @type {AudioContext | null} */
    this.context = null;
  }

  /**
   * Hand over what a track gives, until the function that is returned is called.
   * @param {number} capture
   * @param {MediaStreamTrack} track
   * @returns {Promise<() => void>}
   */
  async begin(capture, track) {
    return track.kind === "video" ? this.#video(capture, track) : this.#sound(capture, track);
  }

  close() {
    this.context?.close();
    this.context = null;
  }

  /**
   * @param {number} capture
   * @param {MediaStreamTrack} track
   */
  #video(capture, track) {
    if (typeof MediaStreamTrackProcessor !== "undefined") {
      const { readable } = new MediaStreamTrackProcessor({ track });
      this.command({ type: "video", capture, readable }, [readable]);
      return () => {};
    }
    const video = document.createElement("video");
    video.muted = true;
    video.srcObject = new MediaStream([track]);
    const grab = () => {
      if (!video.srcObject) return;
      const frame = new VideoFrame(video, { timestamp: Math.round(performance.now() * 1000) });
      this.command({ type: "frame", capture, frame }, [frame]);
      video.requestVideoFrameCallback(grab);
    };
    video.requestVideoFrameCallback(grab);
    video.play();
    return () => {
      video.srcObject = null;
    };
  }

  /**
   * @param {number} capture
   * @param {MediaStreamTrack} track
   */
  async #sound(capture, track) {
    if (typeof MediaStreamTrackProcessor !== "undefined") {
      const { readable } = new MediaStreamTrackProcessor({ track });
      this.command({ type: "sound", capture, readable }, [readable]);
      return () => {};
    }
    const context = await this.#audioContext();
    const tap = new AudioWorkletNode(context, "lknb-tap", { numberOfInputs: 1, numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
    const { port1, port2 } = new MessageChannel();
    tap.port.postMessage({ port: port1 }, [port1]);
    this.command({ type: "audio", capture, port: port2, sampleRate: context.sampleRate }, [port2]);
    const source = context.createMediaStreamSource(new MediaStream([track]));
    source.connect(tap);
    return () => {
      source.disconnect();
      tap.port.postMessage({});
    };
  }

  async #audioContext() {
    if (!this.context) {
      const context = new AudioContext({ sampleRate: 48_000, latencyHint: "interactive" });
      const url = URL.createObjectURL(new Blob([TAP_SOURCE], { type: "text/javascript" }));
      try {
        await context.audioWorklet.addModule(url);
      } finally {
        URL.revokeObjectURL(url);
      }
      this.context = context;
    }
    if (this.context.state !== "running") this.context.resume();
    return this.context;
  }
}
