// Finds the camera page its lane: with the ticket of the link that opened it, and later with those the core sends in time.

/** Between tries to reach a core that does not answer, and how many there are: a port that is forwarded may come back. */
const TAB_AGAIN_MS = 1_000;
const TAB_TRIES = 10;
/** Where a ticket outlives a reload of the page; not its tab. */
const TICKET_KEY = "lknb.ticket";

/**
 * The ticket behind the `#`, which is gone from the address and the history of the browser when this returns; else the one
 * that was kept.
 */
export function takeTicket() {
  const ticket = /^#([0-9a-f]{32})$/.exec(location.hash)?.[1] ?? sessionStorage.getItem(TICKET_KEY) ?? "";
  sessionStorage.removeItem(TICKET_KEY);
  history.replaceState(null, "", location.pathname);
  return ticket;
}

export class TabDialer {
  /** @param {import("./dialer.js").Listener} listener */
  constructor(listener) {
    this.listener = listener;
    this.client = Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(16)).join("-");
    this.ticket = takeTicket();
    this.tries = 0;
    this.timer = 0;
    this.starts = 0;
  }

  /** The ticket for the next lane. @param {string} ticket */
  keep(ticket) {
    this.ticket = ticket;
    sessionStorage.setItem(TICKET_KEY, ticket);
  }

  start() {
    this.stop();
    this.tries = 0;
    this.listener.wait("");
    this.#dial();
  }

  stop() {
    this.starts += 1;
    clearTimeout(this.timer);
  }

  dispose() {
    this.stop();
  }

  opened() {
    this.tries = 0;
    // it is used up
    this.ticket = "";
    sessionStorage.removeItem(TICKET_KEY);
  }

  /**
   * @param {LaneName} _
   * @param {boolean} opened
   */
  closed(_, opened) {
    if (opened) this.#wait();
    else void this.#judge();
  }

  #dial() {
    if (this.ticket) this.listener.open({ name: "direct", url: `ws://${location.host}/`, ticket: this.ticket }, []);
    else this.listener.fail({ title: "This page has no room", detail: OPEN_AGAIN });
  }

  #wait() {
    this.listener.wait("The notebook does not answer; trying again…");
    this.timer = setTimeout(() => this.#dial(), TAB_AGAIN_MS);
  }

  /** A lane that does not open tells no reason: either nobody is there, or nobody who takes the ticket. */
  async #judge() {
    const { starts } = this;
    const isThere = await fetch(location.pathname, { method: "HEAD", cache: "no-store" }).then(() => true, () => false);
    if (starts !== this.starts) return;
    this.tries += 1;
    if (isThere) this.listener.fail({ title: "This link was used before, or is too old", detail: OPEN_AGAIN });
    else if (this.tries < TAB_TRIES) this.#wait();
    else this.listener.fail({ title: "The kernel of the notebook is gone", detail: `Run the notebook again. ${OPEN_AGAIN}` });
  }
}

const OPEN_AGAIN = "Press “Open camera page” in the notebook.";
