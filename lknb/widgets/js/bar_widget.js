// The entry of `ControlBar`: the buttons of a call in a notebook.

import { CaptureSession } from "./capture_session.js";
import { ControlBarView } from "./control_bar.js";

export default () => {
  /** @type {CaptureSession} */
  let session;
  return {
    /** @param {{ model: WidgetModel }} context */
    initialize({ model }) {
      session = new CaptureSession(model);
      return () => session.dispose();
    },
    /** @param {{ model: WidgetModel, el: HTMLElement }} context */
    render({ model, el }) {
      const view = new ControlBarView(session, model, el, true);
      return () => view.dispose();
    },
  };
};
