// Choosing the loudspeaker of this page, for the person or for the kernel.

import { SPEAKER_FIXED, SPEAKER_UNKNOWN, explainSpeaker } from "./device_fault.js";
import { Obstacle } from "./device_list.js";
import { announce, thisPage } from "./page.js";
import { turnSink } from "./speaker.js";

/** The browser's choice, as it lists it itself. */
const DEFAULT_SPEAKER = "default";

/** Where a tab keeps the one that was chosen in it. */
const SPEAKER_KEY = "lknb.speaker";

/** Whether this browser lets a page choose at all. */
export function canChooseSpeaker() {
  return typeof AudioContext !== "undefined" && "setSinkId" in AudioContext.prototype && !!navigator.mediaDevices?.enumerateDevices;
}

/** The id of the one in use. */
export function currentSpeaker() {
  return thisPage().speaker || DEFAULT_SPEAKER;
}

/**
 * Have this page be heard on a speaker; which one it is then. Throws an `Obstacle`, and all goes on as before.
 * @param {string} deviceId empty for the browser's choice
 */
export async function chooseSpeaker(deviceId) {
  if (!canChooseSpeaker()) throw new Obstacle(SPEAKER_FIXED);
  const id = deviceId || DEFAULT_SPEAKER;
  try {
    const found = await findSpeaker(id);
    if (!found && id !== DEFAULT_SPEAKER) throw new Obstacle(SPEAKER_UNKNOWN);
    await inTurn(() => turnSpeaker(id === DEFAULT_SPEAKER ? "" : id));
    watchSpeaker();
    return { device_id: id, label: (found?.label ?? "").slice(0, 200) };
  } catch (error) {
    if (error instanceof Obstacle) throw error;
    throw new Obstacle(explainSpeaker(error));
  }
}

/** Be told when the speaker is gone; and be heard on the one that was chosen in this tab before its page was loaded again. */
export function watchSpeaker() {
  const page = thisPage();
  navigator.mediaDevices?.addEventListener("devicechange", checkSpeaker);
  page.changes.addEventListener("refused", checkSpeaker);
  if (page.isSpeakerRecalled) return;
  page.isSpeakerRecalled = true;
  page.speaker ||= recallSpeaker();
  checkSpeaker();
}

function recallSpeaker() {
  try {
    return sessionStorage.getItem(SPEAKER_KEY) ?? "";
  } catch {
    // a frame may have no storage
    return "";
  }
}

/** @param {string} id empty for the browser's choice */
function keepSpeaker(id) {
  try {
    sessionStorage.setItem(SPEAKER_KEY, id);
  } catch {
    // then it is forgotten with the page
  }
}

/** @param {string} id */
async function findSpeaker(id) {
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices.find(({ kind, deviceId }) => kind === "audiooutput" && deviceId === id);
}

/** Devices came or went, or something cannot be heard on the one that was chosen. */
function checkSpeaker() {
  return inTurn(async () => {
    const page = thisPage();
    const { speaker } = page;
    if (!speaker) return;
    try {
      if (!(await findSpeaker(speaker))) throw new Obstacle(SPEAKER_UNKNOWN);
      await turnSinks(speaker);
    } catch {
      page.speaker = "";
      keepSpeaker("");
      await turnSinks("").catch(() => {});
      page.isSpeakerLost = true;
      announce("speaker");
    }
  });
}

/**
 * All sound of the page comes from this one; where something of it cannot, all goes on as before, and this throws.
 * @param {string} id empty for the browser's choice
 */
async function turnSpeaker(id) {
  const page = thisPage();
  const before = page.speaker;
  // first, for what is made meanwhile
  page.speaker = id;
  try {
    await turnSinks(id);
  } catch (error) {
    page.speaker = before;
    await turnSinks(before).catch(() => {});
    throw error;
  }
  keepSpeaker(id);
  page.isSpeakerLost = false;
  announce("speaker");
}

/** @param {string} id */
async function turnSinks(id) {
  await Promise.all([...thisPage().sinks].map((sink) => turnSink(sink, id)));
}

/**
 * One change after the other: the last one counts.
 * @param {() => Promise<void>} change
 */
function inTurn(change) {
  const page = thisPage();
  const turn = page.speakerTurn.then(change);
  page.speakerTurn = turn.catch(() => {});
  return turn;
}
