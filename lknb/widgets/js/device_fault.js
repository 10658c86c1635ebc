// What keeps a page from having a camera, a microphone or a screen, in words that say what to do next.

/** @typedef {"camera" | "microphone" | "screen" | "screen_audio"} CaptureDevice */
/** `tab`: the camera page, a tab of the browser, can do it instead. @typedef {{ reason: string, title: string, detail: string, tab?: boolean }} DeviceFault */

/** It came too late: nobody wants it any more. @type {DeviceFault} */
export const NOT_HELD = { reason: "closed", title: "It is not captured any more", detail: "" };

/** @type {Record<CaptureDevice, string>} */
const DEVICE_NAMES = { camera: "camera", microphone: "microphone", screen: "screen", screen_audio: "sound of the screen" };

const TAB_HELP = "The camera page can: a tab of your browser that captures for this room. Press “Open camera page” in the room's buttons.";

/**
 * Why this page can capture nothing at all, or null.
 * @param {object} page
 * @param {string} page.protocol
 * @param {boolean} page.local whether it comes from the machine of the browser, where the kernel is then likely to be
 * @param {boolean} page.secure
 * @param {boolean} page.allowed by the Permissions-Policy of what shows it, or of the site
 * @param {boolean} page.mediaDevices
 * @param {boolean} page.webcodecs
 * @returns {DeviceFault | null}
 */
export function findCaptureObstacle({ protocol, local, secure, allowed, mediaDevices, webcodecs }) {
  if (protocol === "vscode-webview:") {
    return { reason: "front_end", title: "VS Code does not let notebooks use cameras", detail: TAB_HELP, tab: true };
  }
  if (secure && !(allowed && mediaDevices)) {
    return {
      reason: "front_end",
      title: "A rule keeps this page from cameras",
      detail: local
        ? `What shows the notebook forbids them (Permissions-Policy). ${TAB_HELP}`
        : "The site that shows the notebook forbids them (Permissions-Policy). Ask who runs it, or use a JupyterLab of your own.",
      tab: local,
    };
  }
  if (!secure) {
    return {
      reason: "insecure",
      title: "This page may not use cameras",
      detail:
        "Browsers give camera and microphone only to pages from https or from localhost. Open JupyterLab at http://localhost; " +
        "if it runs on another machine, through a tunnel: ssh -L 8888:localhost:8888 host",
    };
  }
  if (!webcodecs) {
    return {
      reason: "unsupported",
      title: "This browser cannot encode video",
      detail: "It has no WebCodecs. Open the notebook in a current Chrome, Edge, Firefox or Safari.",
    };
  }
  return null;
}

/** Browsers without MediaStreamTrackProcessor hear a microphone by their audio thread, which Firefox runs only where it can play. */
export const SOUNDLESS = {
  reason: "unsupported",
  title: "This browser cannot listen to the microphone",
  detail:
    "Its audio does not run, most often because the machine has no loudspeaker. Connect one, or headphones, then press the " +
    "microphone button again; Chrome and Edge need none.",
};

/** @type {DeviceFault} */
export const SPEAKER_FIXED = {
  reason: "unsupported",
  title: "This browser does not let a page choose its speaker",
  detail:
    "Chrome and Edge do, in pages from https or localhost. Choose another speaker in the sound settings of the system, or in " +
    "the browser's for this page.",
};

/** @type {DeviceFault} */
export const SPEAKER_UNKNOWN = {
  reason: "not_found",
  title: "There is no such speaker",
  detail:
    "This page's browser has none of that id. Choose one of `await lknb.devices()` whose kind is “speaker”: browsers list them once " +
    "the page was allowed to use a microphone, and their ids are others in each browser and on each site.",
};

/** @type {DeviceFault} */
export const SPEAKER_LOST = {
  reason: "ended",
  title: "The speaker is gone",
  detail: "It was unplugged. This page is heard on the one the browser chooses; choose another one in the menu of speakers.",
};

/**
 * What a fault of setSinkId means.
 * @param {unknown} error
 * @returns {DeviceFault}
 */
export function explainSpeaker(error) {
  const { name, message } = /** @type {Error} */ (error);
  const reasons = /** @type {Record<string, string>} */ ({ NotAllowedError: "denied", SecurityError: "denied", AbortError: "in_use" });
  return {
    reason: reasons[name] ?? "other",
    title: "The speaker cannot be used",
    detail: `This page is heard on the same one as before. The browser says: ${name} ${message}`.slice(0, 500),
  };
}

/**
 * What a fault of getUserMedia or getDisplayMedia means.
 * @param {unknown} error
 * @param {CaptureDevice} device
 * @returns {DeviceFault}
 */
export function explainFault(error, device) {
  const name = DEVICE_NAMES[device];
  const fault = error instanceof Error || error instanceof DOMException ? error : new Error(String(error));
  const explain = FAULTS[fault.name];
  if (explain) return explain(name, device, /** @type {any} */ (fault));
  return { reason: "other", title: `The ${name} cannot be used`, detail: `The browser says: ${fault.name} ${fault.message}`.slice(0, 500) };
}

/** @type {Record<string, (name: string, device: CaptureDevice, error: any) => DeviceFault>} */
const FAULTS = {
  NotAllowedError: (name, device) =>
    device === "screen" || device === "screen_audio"
      ? {
          reason: "denied",
          title: "The screen is not shared",
          detail: "The question was dismissed, or this browser may not record the screen. Press “Share screen” to choose again.",
        }
      : {
          reason: "denied",
          title: `The ${name} is blocked for this page`,
          detail: `Allow it by the icon left of the page's address, or in the privacy settings of your system; then try again.`,
        },
  SecurityError: (name) => ({
    reason: "denied",
    title: `The ${name} is blocked for this page`,
    detail: "A rule of the site that serves the notebook forbids it (Permissions-Policy). Ask who runs it, or use a JupyterLab of your own.",
  }),
  NotFoundError: (name, device) =>
    device === "screen"
      ? {
          reason: "not_found",
          title: "There is no screen to share",
          detail: "This browser finds none: on Linux with Wayland it needs xdg-desktop-portal, without a display there is nothing to share.",
        }
      : {
          reason: "not_found",
          title: `There is no ${name}`,
          detail: "None is connected to the machine of this browser. Plug one in and press the button again, or publish a source of the kernel.",
        },
  NotReadableError: (name) => ({
    reason: "in_use",
    title: `The ${name} is in use`,
    detail: "Another program has it, or its driver failed. Close what uses it, then press the button again.",
  }),
  AbortError: (name) => ({
    reason: "in_use",
    title: `The ${name} did not start`,
    detail: "Its driver failed, or another program took it. Unplug it and plug it in again, then press the button again.",
  }),
  OverconstrainedError: (name, _, error) => ({
    reason: "overconstrained",
    title: `No ${name} is as asked`,
    detail:
      error.constraint === "deviceId"
        ? "The device that was chosen is not connected any more. Choose another one in the menu beside the button."
        : `No ${name} can do what was asked of “${error.constraint}”. Ask for less.`,
  }),
  InvalidStateError: (name) => ({
    reason: "needs_click",
    title: `The browser wants a click for the ${name}`,
    detail: "Nobody clicked in time. Press “Share screen” in the room's buttons: browsers share a screen only right after a click or a key.",
  }),
};
FAULTS.DevicesNotFoundError = FAULTS.NotFoundError;

/**
 * A device whose pictures this browser fails to encode, though it said that it can.
 * @param {CaptureDevice} device
 * @param {string} codec
 * @returns {DeviceFault}
 */
export function explainEncoder(device, codec) {
  const other = codec === "h264" ? "VP8" : "H264";
  return {
    reason: "unsupported",
    title: `This browser fails to encode the ${DEVICE_NAMES[device]} as ${codec.toUpperCase()}`,
    detail: `Publish it with another codec, in a cell: rtc.TrackPublishOptions(video_codec=rtc.VideoCodec.${other}). Or restart the browser, then press the button again.`,
  };
}

/**
 * A device that was live and is not any more.
 * @param {CaptureDevice} device
 * @returns {DeviceFault}
 */
export function explainLoss(device) {
  const name = DEVICE_NAMES[device];
  return {
    reason: "ended",
    title: `The ${name} is gone`,
    detail: `It was unplugged, or its driver failed. Plug it in, or choose another one, then press the ${name} button again.`,
  };
}

/**
 * A device that was live and is not any more, and another one took over.
 * @param {CaptureDevice} device
 * @param {string} label of the other one
 * @returns {DeviceFault}
 */
export function explainChange(device, label) {
  const name = DEVICE_NAMES[device];
  return {
    reason: "ended",
    title: `The ${name} is gone`,
    detail: `This page goes on with ${label ? `“${label}”` : "another one"}. Choose in the menu beside the button, or turn it off.`,
  };
}
