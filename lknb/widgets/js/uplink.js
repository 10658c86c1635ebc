// Messages of this page on their way to the kernel over a comm. Each costs a page 15 to 27 ms, whatever its size, because
// JupyterLab shows the kernel as busy and idle again; so those of all lanes go together, and acknowledgements wait.

/** At most 15 messages a second. */
const INTERVAL_MS = 67;
/** What can wait does: 5 a second. */
const PATIENT_MS = 200;
/** What the kernel takes in one message. */
const LANES = 64;

/** @typedef {(content: Record<string, unknown>, buffers: ArrayBuffer[]) => void} Send */

export class Uplink {
  constructor() {
    /** @type {{ lane: string, data: ArrayBuffer }[]} */
    this.urgent = [];
    /** The newest of each lane that can wait. @type {Map<string, ArrayBuffer>} */
    this.patient = new Map();
    this.sentAtMs = -Infinity;
    this.timer = 0;
    this.dueAtMs = Infinity;
    /** @type {Send} */
    this.via = () => {};
  }

  /**
   * @param {string} lane
   * @param {ArrayBuffer} data
   * @param {boolean} patient it can wait, and a later one takes its place
   * @param {Send} via the comm to send it on; messages that wait already go the same way
   */
  send(lane, data, patient, via) {
    this.via = via;
    if (patient) this.patient.set(lane, data);
    else this.urgent.push({ lane, data });
    const dueAtMs = this.sentAtMs + (patient && !this.urgent.length ? PATIENT_MS : INTERVAL_MS);
    // at once when it is due: timers of a page in the background are late
    if (performance.now() >= dueAtMs) this.flush();
    else if (dueAtMs < this.dueAtMs) this.#wake(dueAtMs);
  }

  /** Send what waits, at once. */
  flush() {
    clearTimeout(this.timer);
    this.dueAtMs = Infinity;
    this.patient.forEach((data, lane) => this.urgent.push({ lane, data }));
    this.patient.clear();
    this.sentAtMs = performance.now();
    const sent = this.urgent.splice(0, LANES);
    if (sent.length) this.via({ type: "up", lanes: sent.map(({ lane }) => lane) }, sent.map(({ data }) => data));
    if (this.urgent.length) this.#wake(this.sentAtMs + INTERVAL_MS);
  }

  /** @param {number} dueAtMs */
  #wake(dueAtMs) {
    clearTimeout(this.timer);
    this.dueAtMs = dueAtMs;
    this.timer = setTimeout(() => this.flush(), dueAtMs - performance.now());
  }
}
