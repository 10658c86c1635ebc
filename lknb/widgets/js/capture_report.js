// What the kernel is told of the cameras, microphones and screens of this page.

/** @typedef {import("./capture_device.js").Held} Held */
/** @typedef {import("./device_fault.js").DeviceFault} DeviceFault */

export class CaptureReport {
  /** @param {(message: CaptureCommand) => void} command to the Worker */
  constructor(command) {
    this.command = command;
  }

  /**
   * A request is carried out.
   * @param {number} request
   * @param {Record<string, any>} outcome
   */
  done(request, outcome) {
    this.#say({ ...outcome, type: "done", request });
  }

  /**
   * @param {number} request
   * @param {DeviceFault} fault
   */
  failed(request, fault) {
    this.#say({ type: "failed", request, reason: fault.reason, detail: inWords(fault) });
  }

  /**
   * The device is gone; what it gave may go on with another one.
   * @param {number} capture
   * @param {DeviceFault} fault
   */
  lost(capture, fault) {
    this.#say({ type: "lost", capture, reason: fault.reason, detail: inWords(fault) });
  }

  /**
   * Nothing comes of it any more.
   * @param {number} capture
   * @param {string} detail
   */
  ended(capture, detail) {
    this.#say({ type: "ended", capture, detail });
  }

  /** Which camera or microphone it is by now, where that is news. @param {Held | undefined} held */
  used(held) {
    const usedId = held?.track?.getSettings().deviceId;
    if (!held || !usedId || usedId === held.usedId) return;
    held.usedId = usedId;
    this.#say({ type: "using", capture: held.capture, device_id: usedId });
  }

  /** @param {Record<string, any>} header */
  #say(header) {
    this.command({ type: "say", header });
  }
}

/** What is told of a device that has been taken. @param {Held} held */
export function describeHeld(held) {
  const { width = 0, height = 0, deviceId = "" } = held.track?.getSettings() ?? {};
  // no encoder takes an odd side
  return { width: width & ~1, height: height & ~1, device_id: deviceId, label: (held.track?.label ?? "").slice(0, 200) };
}

/** @param {DeviceFault} fault */
export function inWords(fault) {
  return `${fault.title}. ${fault.detail}`;
}
