// The loudspeaker this page is heard on: what makes sound follows it, also what is made after it was chosen.

import { announce, thisPage } from "./page.js";

/** @typedef {import("./page.js").Sink} Sink */

/**
 * Have it be heard on the speaker of the page, now and whenever that is another one.
 * @param {Sink} sink
 */
export function followSpeaker(sink) {
  const { sinks, speaker } = thisPage();
  sinks.add(sink);
  if (speaker) turnSink(sink, speaker).catch(() => announce("refused"));
}

/** It is about to be closed. @param {Sink} sink */
export function unfollowSpeaker(sink) {
  thisPage().sinks.delete(sink);
}

/**
 * @param {Sink} sink
 * @param {string} id
 */
export async function turnSink(sink, id) {
  try {
    await sink.setSinkId?.(id);
    // Chromium stops a context to change it, and leaves it so when two changes come at once
    sink.resume?.().catch(() => {});
  } catch (error) {
    // what was closed meanwhile need not follow any more
    if (thisPage().sinks.has(sink)) throw error;
  }
}
