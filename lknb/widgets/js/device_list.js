// Which cameras, microphones and loudspeakers this page has, how one of them is asked for, and what keeps the page from all.

import { findCaptureObstacle } from "./device_fault.js";
import { isLoopback } from "./host.js";

/** What keeps a page from a device, thrown. */
export class Obstacle extends Error {
  /** @param {import("./device_fault.js").DeviceFault} fault */
  constructor(fault) {
    super(fault.title);
    this.fault = fault;
  }
}

/** What keeps this page from capturing anything, or null. */
export function currentObstacle() {
  return findCaptureObstacle({
    protocol: location.protocol,
    local: isLoopback(location.hostname),
    secure: isSecureContext,
    allowed: isAllowed(),
    mediaDevices: !!navigator.mediaDevices?.getUserMedia,
    webcodecs: typeof VideoEncoder !== "undefined" && typeof AudioEncoder !== "undefined",
  });
}

/** Whether the rules for this page leave it a camera or a microphone. Browsers that do not tell are believed to. */
function isAllowed() {
  const policy = /** @type {{ featurePolicy?: { allowsFeature(name: string): boolean } }} */ (document).featurePolicy;
  return !policy || policy.allowsFeature("camera") || policy.allowsFeature("microphone");
}

/** @param {Record<string, any>} wish */
export function cameraOf({ device_id: id, constraints: { width, height, fps } }) {
  return { ...(id ? { deviceId: { exact: id } } : {}), width, height, frameRate: fps };
}

/** @param {Record<string, any>} wish */
export function microphoneOf({ device_id: id, constraints }) {
  return {
    ...(id ? { deviceId: { exact: id } } : {}),
    echoCancellation: constraints.echo_cancellation,
    noiseSuppression: constraints.noise_suppression,
    autoGainControl: constraints.auto_gain_control,
  };
}

/**
 * Whether the person took the permission back. Not every browser tells.
 * @param {"camera" | "microphone"} device
 */
export async function isForbidden(device) {
  try {
    const { state } = await navigator.permissions.query({ name: /** @type {PermissionName} */ (device) });
    return state === "denied";
  } catch {
    return false;
  }
}

/**
 * Call when the person has taken the permission back, also when that was before: Chromium leaves a device live that was being
 * taken at that moment. Not every browser tells.
 * @param {"camera" | "microphone"} device
 * @param {() => void} take
 * @returns {() => void} ends it
 */
export function watchForbidden(device, take) {
  let isOver = false;
  /** @type {PermissionStatus | null} */
  let status = null;
  const look = () => {
    if (!isOver && status?.state === "denied") take();
  };
  const follow = async () => {
    try {
      status = await navigator.permissions.query({ name: /** @type {PermissionName} */ (device) });
    } catch {
      return;
    }
    status.onchange = look;
    look();
  };
  follow();
  return () => {
    isOver = true;
    if (status) status.onchange = null;
  };
}

/** @type {Record<string, string>} */
const DEVICE_KINDS = { videoinput: "camera", audioinput: "microphone", audiooutput: "speaker" };

/** Devices of the page; without labels and with one of each kind at most before the first permission. */
export async function listDevices() {
  const fault = currentObstacle();
  if (fault) throw new Obstacle(fault);
  const found = await navigator.mediaDevices.enumerateDevices();
  return found
    .filter(({ kind, deviceId }) => kind in DEVICE_KINDS && deviceId !== "communications")
    .slice(0, 64)
    .map(({ kind, deviceId, label }) => ({ kind: DEVICE_KINDS[kind], device_id: deviceId, label: label.slice(0, 200) }));
}
