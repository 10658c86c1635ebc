// The entry of the Worker that listens to a room: commands of the page in, events of the listener out.

import { Channel } from "./channel.js";
import { Listener } from "./listener.js";

const earScope = /** @type {EarScope} */ (/** @type {unknown} */ (self));
/** The one in use. @type {Channel | null} */
let channel = null;
/** One that is to take its place. @type {Channel | null} */
let candidate = null;
const listener = new Listener(
  (header) => channel?.send(header),
  (event) => earScope.postMessage(event),
);

/** @param {import("./channel.js").Way} way */
function openLane(way) {
  candidate?.close();
  const opening = new Channel(way);
  candidate = opening;
  opening.onopen = () => {
    channel?.close();
    channel = opening;
    candidate = null;
    opening.send({ type: "hello", lane: opening.name });
    listener.open();
    earScope.postMessage({ type: "opened", name: opening.name });
  };
  opening.onmessage = (header, buffers) => listener.handle(header, buffers);
  opening.onclose = (opened) => {
    if (channel === opening) channel = null;
    if (candidate === opening) candidate = null;
    if (opened) listener.reset();
    earScope.postMessage({ type: "closed", name: opening.name, opened });
  };
}

/** @type {{ [K in EarCommand["type"]]: (command: Extract<EarCommand, { type: K }>) => void }} */
const EAR_COMMANDS = {
  open: ({ way }) => openLane(way),
  sink: ({ sink, blocked }) => listener.connect(sink, blocked),
  gains: ({ gains }) => listener.setGains(gains),
};

earScope.onmessage = ({ data }) => /** @type {(command: EarCommand) => void} */ (EAR_COMMANDS[data.type])(data);
