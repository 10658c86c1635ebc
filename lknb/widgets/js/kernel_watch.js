// Whether the kernel that made a widget is still there. A comm does not tell: it just stays silent.

/** What Jupyter says of a kernel that is another one from now on, or none. */
const GONE_STATUS = ["restarting", "autorestarting", "dead"];
/** Where nobody says anything the kernel is asked, and has so long to answer. */
const ASK_AGAIN_MS = 3_000;
const SILENT_MS = 10_000;

/**
 * Hear when Jupyter says that the kernel is gone. The function returned ends that; null where the host tells nothing.
 * @param {WidgetModel} model
 * @param {() => void} lost
 */
export function followKernel(model, lost) {
  const { statusChanged, disposed } = model.widget_manager?.kernel ?? {};
  if (!statusChanged || !disposed) return null;
  const hear = (/** @type {unknown} */ _, /** @type {string} */ status) => {
    if (GONE_STATUS.includes(status)) lost();
  };
  statusChanged.connect(hear);
  disposed.connect(lost);
  return () => {
    statusChanged.disconnect(hear);
    disposed.disconnect(lost);
  };
}

/**
 * For a widget without a lane, while it holds a device: `lost` is called once, as soon as that can be known. A kernel that is
 * asked may be at work for longer than it has to answer: `found` is called when it is heard after all.
 */
export class KernelWatch {
  /**
   * @param {WidgetModel} model
   * @param {() => void} lost
   * @param {() => void} found
   */
  constructor(model, lost, found) {
    this.model = model;
    this.lost = lost;
    this.isLost = false;
    this.timer = 0;
    this.heardAtMs = 0;
    this.onMessage = (/** @type {any} */ content) => {
      if (content?.type !== "alive") return;
      this.heardAtMs = performance.now();
      if (this.isLost) found();
      this.isLost = false;
    };
    model.on("msg:custom", this.onMessage);
    this.unfollow = followKernel(model, () => this.#lose());
  }

  /** From now on the kernel has to answer, where its host does not tell of it. */
  start() {
    if (this.unfollow || this.timer) return;
    this.heardAtMs = performance.now();
    this.timer = setInterval(() => this.#ask(), ASK_AGAIN_MS);
    this.#ask();
  }

  stop() {
    clearInterval(this.timer);
    this.timer = 0;
  }

  dispose() {
    this.stop();
    this.unfollow?.();
    this.model.off("msg:custom", this.onMessage);
  }

  #ask() {
    if (performance.now() - this.heardAtMs > SILENT_MS) this.#lose();
    else {
      try {
        this.model.send({ type: "alive" });
      } catch {
        // the comm is closed
        this.#lose();
      }
    }
  }

  #lose() {
    this.stop();
    this.isLost = true;
    this.lost();
  }
}
