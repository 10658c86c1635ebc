// The way out of the page for sound: one audio context, which the browser may hold back until the user has done something.

import { announce, thisPage } from "./page.js";
import { followSpeaker, unfollowSpeaker } from "./speaker.js";

const SAMPLE_RATE_HZ = 48_000;
/** A context begins suspended even where it may play, and is for a moment when it changes its speaker. */
const BLOCKED_AFTER_MS = 400;
/** What browsers take for the user's will. */
const GESTURES = ["pointerdown", "pointerup", "keydown"];

/** The context of the page; it is closed when nothing is connected any more. */
export function openContext() {
  const page = thisPage();
  if (page.context) return page.context;
  const context = new AudioContext({ sampleRate: SAMPLE_RATE_HZ, latencyHint: "interactive" });
  page.context = context;
  page.output = context.createGain();
  page.output.connect(context.destination);
  context.onstatechange = () => {
    if (context.state === "running") look(context);
    else setTimeout(() => look(context), BLOCKED_AFTER_MS);
  };
  followSpeaker(context);
  GESTURES.forEach((name) => document.addEventListener(name, resumeOutput, { capture: true, passive: true }));
  context.resume().catch(() => {});
  setTimeout(() => look(context), BLOCKED_AFTER_MS);
  return context;
}

/** @param {AudioContext} context */
function look(context) {
  const page = thisPage();
  const blocked = page.context === context && context.state !== "running";
  if (page.context !== context || blocked === page.blocked) return;
  page.blocked = blocked;
  announce("blocked");
}

/** Have the browser play, if it lets us: it does after the user has clicked or typed. */
export function resumeOutput() {
  const { context } = thisPage();
  if (context && context.state !== "running") context.resume().catch(() => {});
}

/**
 * Have a node be heard; the function returned ends that.
 * @param {AudioNode} node
 */
export function connectOutput(node) {
  const page = thisPage();
  if (page.output) node.connect(page.output);
  page.outputs += 1;
  return () => {
    node.disconnect();
    page.outputs -= 1;
    if (!page.outputs) closeContext();
  };
}

function closeContext() {
  const page = thisPage();
  const { context } = page;
  page.context = page.output = null;
  page.blocked = false;
  GESTURES.forEach((name) => document.removeEventListener(name, resumeOutput, { capture: true }));
  if (context) {
    context.onstatechange = null;
    unfollowSpeaker(context);
    context.close().catch(() => {});
  }
  announce("blocked");
}
