// The widget as anywidget loads it. Media belong to the model, which outlives its views; a view is a tile on it.

import { Session } from "./session.js";
import { Tile } from "./tile.js";

export default () => {
  /** @type {Session} */
  let session;
  return {
    /** @param {{ model: WidgetModel }} context */
    initialize({ model }) {
      // nothing may be awaited here: until it returns, all messages of the kernel wait
      session = new Session(model);
      const again = () => session.again();
      model.on("change:_turn", again);
      return () => {
        model.off("change:_turn", again);
        session.dispose();
      };
    },
    /** @param {{ model: WidgetModel, el: HTMLElement }} context */
    render({ model, el }) {
      const tile = new Tile(session, model, el);
      return () => tile.dispose();
    },
  };
};
