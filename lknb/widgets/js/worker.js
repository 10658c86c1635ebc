// The entry of the Worker: commands of the page in, events of the player out.

import { decodableCodecs } from "./codec.js";
import { Player } from "./player.js";

const scope = /** @type {WorkerScope} */ (/** @type {unknown} */ (self));
let turn = 0;
const player = new Player((event) => scope.postMessage({ ...event, turn }));
const ready = decodableCodecs().then((codecs) => {
  player.codecs = codecs;
});

/** @type {{ [K in PlayerCommand["type"]]: (command: Extract<PlayerCommand, { type: K }>) => void }} */
const COMMANDS = {
  open: ({ way, turn: next }) =>
    void ready.then(() => {
      turn = next;
      player.open(way);
    }),
  // not before what it is to close has been opened
  close: () => void ready.then(() => player.close()),
  canvas: ({ id, canvas }) => player.painter.add(id, canvas),
  drop: ({ id }) => player.painter.remove(id),
  show: ({ id, shown }) => player.painter.show(id, shown),
  visible: ({ visible }) => player.see(visible),
  picture: () => void player.sendPicture(true),
};

scope.onmessage = ({ data }) => /** @type {(command: PlayerCommand) => void} */ (COMMANDS[data.type])(data);
