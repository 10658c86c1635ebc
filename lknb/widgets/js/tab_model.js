// What a widget's model is to its views, for the camera page: nothing behind it but what the core says.

export class TabModel {
  constructor() {
    /** @type {Record<string, any>} */
    this.values = { _shown: { connected: true } };
    /** @type {Map<string, Set<(...args: any[]) => void>>} */
    this.callbacks = new Map();
  }

  /** @param {string} name */
  get(name) {
    return this.values[name];
  }

  /**
   * @param {string} name
   * @param {unknown} value
   */
  set(name, value) {
    this.values[name] = value;
    this.tell(`change:${name}`);
  }

  save_changes() {}

  send() {}

  /**
   * @param {string} name
   * @param {(...args: any[]) => void} callback
   */
  on(name, callback) {
    this.callbacks.set(name, (this.callbacks.get(name) ?? new Set()).add(callback));
  }

  /**
   * @param {string} name
   * @param {(...args: any[]) => void} [callback]
   */
  off(name, callback) {
    if (callback) this.callbacks.get(name)?.delete(callback);
    else this.callbacks.delete(name);
  }

  /**
   * @param {string} name
   * @param {...unknown} args
   */
  tell(name, ...args) {
    [...(this.callbacks.get(name) ?? [])].forEach((callback) => callback(...args));
  }
}
