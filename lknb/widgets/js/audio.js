// The widgets of sound as anywidget loads them: `RoomAudio`, which plays a room, and `AudioView`, one track of it.

import { Bar } from "./bar.js";
import { Hearer } from "./hearer.js";
import { playerOf, thisPage } from "./page.js";

/** What a bar is to follow, on the page. */
const SEEN = ["blocked", "player", "tracks", "levels"];

/** @typedef {import("./bar.js").BarLook} BarLook */

/**
 * @param {WidgetModel} model
 * @returns {BarLook}
 */
function lookOfRoom(model) {
  const player = playerOf(model.get("_audio"));
  return { name: "the room", level: null, status: player?.status ?? "", retry: retryOf(player) };
}

/**
 * @param {WidgetModel} model
 * @returns {BarLook}
 */
function lookOfTrack(model) {
  const player = playerOf(model.get("_audio"));
  const sid = model.get("track_sid");
  const track = player?.tracks.find((each) => each.sid === sid);
  const level = track && !track.muted ? (player?.levels[sid] ?? 0) : 0;
  const name = model.get("name") || "this track";
  const around = player ? player.status : "Its room was left";
  const status = player?.state === "open" ? "Not sent" : around;
  if (!track) return { name, level, status, retry: retryOf(player) };
  const heard = thisPage().blocked || model.get("muted") ? around : "Playing";
  return { name, level, status: track.muted ? "Muted by its sender" : heard, retry: null };
}

/** @param {SoundPlayer | null} player */
function retryOf(player) {
  return player?.state === "error" ? () => player.retry() : null;
}

export default () => {
  /** @type {Hearer | null} */
  let hearer = null;
  return {
    /** @param {{ model: WidgetModel }} context */
    initialize({ model }) {
      if (model.get("track_sid") === undefined) hearer = new Hearer(model);
      return () => hearer?.dispose();
    },
    /** @param {{ model: WidgetModel, el: HTMLElement }} context */
    render({ model, el }) {
      const bar = new Bar(model, el, () => (hearer ? lookOfRoom(model) : lookOfTrack(model)));
      SEEN.forEach((name) => thisPage().changes.addEventListener(name, bar.update));
      return () => {
        SEEN.forEach((name) => thisPage().changes.removeEventListener(name, bar.update));
        bar.dispose();
      };
    },
  };
};
