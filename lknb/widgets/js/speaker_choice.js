// Choosing the loudspeaker of this page, for the person or for the kernel.

import { SPEAKER_FIXED, SPEAKER_UNKNOWN, explainSpeaker } from "./device_fault.js";
import { Obstacle } from "./device_list.js";
import { announce, thisPage } from "./page.js";
import { turnSink } from "./speaker.js";

/** The browser's choice, as it lists it itself. */
const DEFAULT_SPEAKER = "default";

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
    navigator.mediaDevices.addEventListener("devicechange", checkSpeaker);
    thisPage().changes.addEventListener("refused", checkSpeaker);
    return { device_id: id, label: (found?.label ?? "").slice(0, 200) };
  } catch (error) {
    if (error instanceof Obstacle) throw error;
    throw new Obstacle(explainSpeaker(error));
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
