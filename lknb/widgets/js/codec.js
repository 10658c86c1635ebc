// Names of codecs as WebCodecs wants them.

/**
 * The WebCodecs string for a key frame, or null when it cannot be told from it: an H264 key frame without its SPS.
 * @param {string} codec "vp8" or "h264"
 * @param {Uint8Array} keyframe a VP8 frame, or an H264 access unit in Annex B form
 */
export function codecString(codec, keyframe) {
  if (codec !== "h264") return codec;
  for (let at = 0; at + 6 < keyframe.length; at += 1) {
    const isSps = keyframe[at] === 0 && keyframe[at + 1] === 0 && keyframe[at + 2] === 1 && (keyframe[at + 3] & 31) === 7;
    // profile_idc, the constraint flags and level_idc are the first bytes of the SPS (H.264 7.3.2.1.1)
    if (isSps) return "avc1." + Array.from(keyframe.subarray(at + 4, at + 7), hexByte).join("");
  }
  return null;
}

/** @param {number} byte */
function hexByte(byte) {
  return byte.toString(16).padStart(2, "0").toUpperCase();
}

/** @type {Record<string, string>} */
const PROBES = { vp8: "vp8", h264: "avc1.42E01F" };

/**
 * Which of our codecs this browser decodes, the best ones first: pictures all of them do, where there is no WebCodecs no more.
 * @returns {Promise<string[]>}
 */
export async function decodableCodecs() {
  if (typeof VideoDecoder === "undefined") return ["jpeg"];
  const names = Object.keys(PROBES);
  const answers = await Promise.all(names.map((name) => VideoDecoder.isConfigSupported({ codec: PROBES[name] })));
  return [...names.filter((_, index) => answers[index].supported), "jpeg"];
}
