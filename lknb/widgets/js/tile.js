// One view of a widget: where it stands in the page, whether anybody sees it, and its canvas.

import { Face } from "./face.js";
import { Hearing } from "./hear.js";

/** @typedef {import("./session.js").Session} Session */
/** A canvas that the Worker paints. @typedef {{ id: number, canvas: HTMLCanvasElement }} Hung */

const PLACING_TURNS = 100;
const TRAITS = ["name", "width", "height", "fit", "mirror", "stats", "_about"];
/** Of a track whose size nobody knows yet. */
const USUAL = { width: 16, height: 9 };

export class Tile {
  /**
   * @param {Session} session
   * @param {WidgetModel} model
   * @param {HTMLElement} host
   */
  constructor(session, model, host) {
    this.session = session;
    this.model = model;
    this.host = host;
    host.classList.add("lknb-video-host");
    this.face = new Face(host, (action) => this.act(action));
    this.width = 0;
    this.height = 0;
    this.inSight = false;
    /** Where the notebook has put the view. @type {HTMLElement | null} */
    this.place = null;
    /** @type {Hung | null} */
    this.hung = null;
    /** @type {[number, number, number] | null} */
    this.figures = null;
    this.onChange = () => this.update();
    this.onMessage = (/** @type {any} */ content) => this.hear(content);
    TRAITS.forEach((name) => model.on(`change:${name}`, this.onChange));
    model.on("msg:custom", this.onMessage);
    this.sizeObserver = new ResizeObserver((entries) => this.measure(entries[entries.length - 1].contentRect));
    this.sizeObserver.observe(this.face.root);
    this.sightObserver = new IntersectionObserver((entries) => this.see(entries[entries.length - 1].isIntersecting));
    this.sightObserver.observe(this.face.root);
    this.hearing = new Hearing(model, this.face.root);
    session.attach(this);
    this.hang();
    this.update();
    this.#settle();
  }

  dispose() {
    this.#end();
    this.session.detach(this);
  }

  #end() {
    TRAITS.forEach((name) => this.model.off(`change:${name}`, this.onChange));
    this.model.off("msg:custom", this.onMessage);
    this.sizeObserver.disconnect();
    this.sightObserver.disconnect();
    this.hearing.dispose();
    const hung = this.takeDown();
    if (hung) this.session.command({ type: "drop", id: hung.id });
    this.face.root.remove();
  }

  /**
   * JupyterLab renders an output that was replaced again, with a new view, and just empties the element it had put the old
   * one into. It still believes the old view to be there, and fails over it when the widget is closed.
   */
  isLeft() {
    return this.place !== null && this.host.parentElement !== this.place;
  }

  /** Of a view that was left: nothing stays but an element that nobody sees, in the place where it is believed to be. */
  retire() {
    this.#end();
    this.host.style.display = "none";
    this.place?.append(this.host);
  }

  /** @param {string} action */
  act(action) {
    if (action === "retry") this.session.start();
    else this.session.dialer.send({ type: "act", do: action });
  }

  /** @param {any} content */
  hear(content) {
    if (content?.type !== "flow") return;
    this.figures = content.figures;
    this.update();
  }

  update() {
    const { title, detail, hasPicture, width, height, lane, note } = this.session;
    const about = this.model.get("_about");
    // a page whose kernel is gone has a word of its own
    const orphan = this.session.state === "ended" && title;
    const state = orphan ? "ended" : stateOf(about.standing, this.session.state);
    // the grid's style puts it where it belongs
    this.host.classList.toggle("lknb-focused", about.focus === "on");
    const known = this.model.get("width") > 0 && this.model.get("height") > 0;
    const size = known ? { width: this.model.get("width"), height: this.model.get("height") } : width ? { width, height } : USUAL;
    this.face.show({
      state,
      // what the page has to say is about a track that is there
      title: state === this.session.state ? title : "",
      detail: state === this.session.state ? detail : "",
      hasPicture: hasPicture && !(about.initials && about.standing),
      ...size,
      about,
      received: { width, height },
      lane,
      note,
      stats: this.model.get("stats"),
      figures: this.figures,
      name: this.model.get("name"),
      fit: this.model.get("fit"),
      mirror: this.model.get("mirror"),
    });
  }

  /** Get a canvas, if there is a Worker to paint it and the tile has none. */
  hang() {
    if (this.hung) return;
    this.hung = this.session.takeCanvas(this);
    if (!this.hung) return;
    this.face.screen.append(this.hung.canvas);
    this.#tellShown();
  }

  /** Give the canvas away, as it hangs. */
  takeDown() {
    const hung = this.hung;
    this.hung = null;
    return hung;
  }

  isSeen() {
    return this.inSight && this.width > 0 && this.height > 0 && !document.hidden;
  }

  /** Whether the notebook says that the kernel of this view is gone. */
  isDisconnected() {
    return this.host.classList.contains("jupyter-widgets-disconnected");
  }

  /** @param {DOMRectReadOnly} box */
  measure(box) {
    this.width = Math.round(box.width);
    this.height = Math.round(box.height);
    this.session.look();
  }

  /** @param {boolean} inSight */
  see(inSight) {
    this.inSight = inSight;
    this.#tellShown();
    this.session.look();
  }

  /** See where the notebook puts the view, which it does when it has been made, and before anything else can happen. */
  async #settle() {
    for (let turn = 0; turn < PLACING_TURNS && !this.host.parentElement; turn += 1) await null;
    this.place = this.host.parentElement;
    this.session.retireLeft();
  }

  #tellShown() {
    if (this.hung) this.session.command({ type: "show", id: this.hung.id, shown: this.inSight });
  }
}

/**
 * What is to be seen: what the kernel knows of a track that is not there comes before what the page sees of one.
 * @param {import("./face.js").About["standing"]} standing
 * @param {TileState} played
 * @returns {FaceState}
 */
export function stateOf(standing, played) {
  if (!standing || standing === "ended") return played === "connecting" && standing ? "ended" : played;
  return standing === "asked" ? "connecting" : standing;
}
