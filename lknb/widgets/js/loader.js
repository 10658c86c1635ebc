// What anywidget loads for each widget. A browser never lets go of a module it has loaded, so this one is small, and the code
// proper is loaded once for all widgets of the page.

import { CODE_ID } from "./inserted.js";

/** @typedef {{ initialize: (context: any) => () => void, render: (context: any) => () => void }} Widget */

/** @type {Record<symbol, Promise<() => Widget> | undefined>} */
const shared = /** @type {any} */ (globalThis);
const key = Symbol.for(`lknb.${CODE_ID}`);

/** @param {string} code */
async function load(code) {
  const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  try {
    const { default: make } = await import(url);
    // of a widget that was closed meanwhile the code is no code, which must not be what the others get
    if (typeof make !== "function") throw new TypeError("no code");
    return make;
  } catch (error) {
    delete shared[key];
    throw error;
  } finally {
    URL.revokeObjectURL(url);
  }
}

export default () => {
  /** @type {Widget} */
  let widget;
  return {
    /** @param {{ model: WidgetModel }} context */
    async initialize(context) {
      shared[key] ??= load(context.model.get("_code"));
      widget = (await shared[key])();
      const dispose = widget.initialize(context);
      return () => {
        dispose();
        // JupyterLab keeps closed models for as long as their kernel lives, and a model its values and the ones before
        // them; so the code is kept with neither
        context.model.set("_code", "");
        context.model.set("_code", null);
      };
    },
    /** @param {{ model: WidgetModel, el: HTMLElement }} context */
    render: (context) => widget.render(context),
  };
};
