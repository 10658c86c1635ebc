// Every encoded picture that a page sends or receives is noted on its way: a Worker, as the browser wants it.

/** @type {Record<string, unknown>[]} */
const pictures = [];

/**
 * The end of a picture tells it from all others; its beginning may be written anew on the way (H264 parameter sets).
 * @param {ArrayBuffer} data
 */
function mark(data) {
  let hash = data.byteLength > 0 ? 1 : 0;
  for (const byte of new Uint8Array(data).subarray(-200)) hash = (Math.imul(hash, 31) + byte) | 0;
  return hash;
}

self.addEventListener("rtctransform", (/** @type {any} */ { transformer }) => {
  const note = new TransformStream({
    transform(frame, controller) {
      const { synchronizationSource, rtpTimestamp } = frame.getMetadata();
      pictures.push({
        at_ms: performance.timeOrigin + performance.now(), source: synchronizationSource, timestamp: rtpTimestamp,
        key: frame.type === "key", mark: mark(frame.data),
      });
      controller.enqueue(frame);
    },
  });
  void transformer.readable.pipeThrough(note).pipeTo(transformer.writable);
});

self.addEventListener("message", () => self.postMessage(pictures));
