// Which way sound leaves the page: straight out, or, while a microphone of the page is open, round so that no echo is sent.

import { Loopback } from "./loopback.js";
import { thisPage } from "./page.js";

/** Route the sound of the page's present context, for as long as it is the present one. */
export function routeOutput() {
  const page = thisPage();
  const { context, output } = page;
  if (!context || !output || page.routed === context) return;
  page.routed = context;
  /** @type {Loopback | null} */
  let loopback = null;
  const route = () => {
    const isPresent = page.context === context;
    const isRound = isPresent && page.microphones > 0 && Loopback.isNeeded();
    if (isRound !== !!loopback) {
      output.disconnect();
      loopback?.close();
      loopback = isRound ? new Loopback(context, output) : null;
      if (isPresent && !isRound) output.connect(context.destination);
    }
    if (isPresent) return;
    page.changes.removeEventListener("microphones", route);
    page.changes.removeEventListener("blocked", route);
  };
  page.changes.addEventListener("microphones", route);
  // told, too, when a context is closed
  page.changes.addEventListener("blocked", route);
  route();
}
