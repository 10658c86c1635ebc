// Figures as people read them.

/**
 * @param {number} bps bits a second
 */
export function bitrateText(bps) {
  if (bps >= 999_500) return `${(bps / 1e6).toFixed(1)} Mbit/s`;
  return `${Math.round(bps / 1e3)} kbit/s`;
}

/**
 * @param {number} width in pixels
 * @param {number} height in pixels
 */
export function sizeText(width, height) {
  return `${width} × ${height}`;
}

/**
 * The end of an axis that begins at 0: 1, 2 or 5 times a power of ten, and no less than `value`.
 * @param {number} value
 */
export function axisEnd(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const end = [1, 2, 5, 10].find((step) => step * power >= value * (1 - 1e-9)) ?? 10;
  return end * power;
}

/**
 * The layer that pictures of this size are, by the sizes of all of them; "" when there are none.
 * @param {Record<string, [number, number]>} layers
 * @param {number} width
 * @param {number} height
 */
export function layerName(layers, width, height) {
  const distance = (/** @type {string} */ name) => Math.abs(Math.log((layers[name][0] * layers[name][1]) / (width * height)));
  const names = Object.keys(layers);
  const sizes = new Set(Object.values(layers).map(String));
  if (!names.length || sizes.size < names.length || !width || !height) return "";
  return names.reduce((best, name) => (distance(name) < distance(best) ? name : best));
}
