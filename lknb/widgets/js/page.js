// What all widgets of one page share, those of several kernels included: the way out for sound, and who plays which room.

/**
 * The sound of one room in this page.
 * @typedef {object} RoomSound
 * @property {Set<object>} views what shows the room here; while there is one, its sound is played
 * @property {SoundPlayer | null} player
 */

/**
 * What makes sound: an audio context, or an element.
 * @typedef {object} Sink
 * @property {(id: string) => Promise<void>} [setSinkId] not in every browser
 * @property {() => Promise<void>} [resume] of a context
 */

/**
 * @typedef {object} Page
 * @property {AudioContext | null} context
 * @property {GainNode | null} output all sound goes through it
 * @property {number} outputs how many nodes are connected to it
 * @property {boolean} blocked whether the browser wants a click or a key before it plays
 * @property {AudioContext | null} routed the context whose sound follows the microphones
 * @property {number} microphones how many are open in this page
 * @property {string} speaker id of the one that was chosen; empty for the browser's choice
 * @property {boolean} isSpeakerLost whether it is the browser's choice because the chosen one is gone
 * @property {boolean} isSpeakerRecalled whether the choice before the page was loaded again was looked for
 * @property {Promise<void>} speakerTurn the last change of it
 * @property {Set<Sink>} sinks what is heard on it
 * @property {Map<string, RoomSound>} rooms by the id of their `RoomAudio`
 * @property {EventTarget} changes "blocked", "microphones", "speaker", "refused", "views", "player", "tracks" and "levels" are dispatched to it
 */

/** @returns {Page} */
export function thisPage() {
  const shared = /** @type {Record<symbol, Page | undefined>} */ (/** @type {unknown} */ (globalThis));
  return (shared[Symbol.for("lknb.page")] ??= {
    context: null,
    output: null,
    outputs: 0,
    blocked: false,
    routed: null,
    microphones: 0,
    speaker: "",
    isSpeakerLost: false,
    isSpeakerRecalled: false,
    speakerTurn: Promise.resolve(),
    sinks: new Set(),
    rooms: new Map(),
    changes: new EventTarget(),
  });
}

/** @param {"blocked" | "microphones" | "speaker" | "refused" | "views" | "player" | "tracks" | "levels"} what */
export function announce(what) {
  thisPage().changes.dispatchEvent(new Event(what));
}

/** A microphone of this page is open, until the function returned is called. */
export function noteMicrophone() {
  thisPage().microphones += 1;
  announce("microphones");
  return () => {
    thisPage().microphones -= 1;
    announce("microphones");
  };
}

/**
 * @param {string} key
 * @returns {RoomSound}
 */
export function soundOf(key) {
  const { rooms } = thisPage();
  let sound = rooms.get(key);
  if (!sound) rooms.set(key, (sound = { views: new Set(), player: null }));
  return sound;
}

/**
 * A view of the room is displayed, or not any more.
 * @param {string} key
 * @param {object} view
 * @param {boolean} shown
 */
export function showRoom(key, view, shown) {
  const sound = soundOf(key);
  if (shown) sound.views.add(view);
  else sound.views.delete(view);
  forgetUnused(key);
  announce("views");
}

/**
 * @param {string} key
 * @param {SoundPlayer | null} player
 */
export function setPlayer(key, player) {
  soundOf(key).player = player;
  forgetUnused(key);
  announce("player");
}

/**
 * Who plays the room, if anybody does.
 * @param {string} key
 */
export function playerOf(key) {
  return thisPage().rooms.get(key)?.player ?? null;
}

/** @param {string} key */
function forgetUnused(key) {
  const { rooms } = thisPage();
  const sound = rooms.get(key);
  if (sound && !sound.views.size && !sound.player) rooms.delete(key);
}
