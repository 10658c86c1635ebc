// One message between the page and the core: a JSON header and binary buffers. The format is that of lknb/core/message.py:
// all integers big-endian 32 bit, length | header length | buffer count | buffer lengths | header | buffers.

/** @typedef {{ header: Record<string, any>, buffers: Uint8Array[] }} Message */

/**
 * @param {Record<string, unknown>} header
 * @param {Uint8Array[]} [buffers]
 * @returns {ArrayBuffer}
 */
export function encodeMessage(header, buffers = []) {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const start = 12 + 4 * buffers.length;
  const size = buffers.reduce((sum, buffer) => sum + buffer.byteLength, start + text.byteLength);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, size - 4);
  view.setUint32(4, text.byteLength);
  view.setUint32(8, buffers.length);
  bytes.set(text, start);
  let offset = start + text.byteLength;
  buffers.forEach((buffer, index) => {
    view.setUint32(12 + 4 * index, buffer.byteLength);
    bytes.set(buffer, offset);
    offset += buffer.byteLength;
  });
  return bytes.buffer;
}

/**
 * The buffers are views of `data`, not copies. Throws a RangeError or SyntaxError for anything but one whole message.
 * @param {ArrayBuffer} data
 * @returns {Message}
 */
export function decodeMessage(data) {
  const view = new DataView(data);
  const headerLength = view.getUint32(4);
  const count = view.getUint32(8);
  let offset = 12 + 4 * count;
  const text = new Uint8Array(data, offset, headerLength);
  offset += headerLength;
  const buffers = [];
  for (let index = 0; index < count; index += 1) {
    const length = view.getUint32(12 + 4 * index);
    buffers.push(new Uint8Array(data, offset, length));
    offset += length;
  }
  if (offset !== data.byteLength || view.getUint32(0) !== data.byteLength - 4) {
    throw new RangeError("not exactly one message");
  }
  return { header: JSON.parse(new TextDecoder().decode(text)), buffers };
}
