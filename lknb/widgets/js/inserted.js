// `lknb/widgets/esm.py` puts these values in, each where it is needed.

/**
 * The text of the Worker, which cannot be started from the module that the page runs.
 * @type {string}
 */
export const WORKER_SOURCE = "";

/**
 * Names the code of the page: that of another lknb in another kernel is other code.
 * @type {string}
 */
export const CODE_ID = "";

/**
 * The text of the audio thread, and the name of the processor it registers; a page may have those of several lknb.
 * @type {string}
 */
export const MIXER_SOURCE = "";

/** @type {string} */
export const MIXER_NAME = "";

/**
 * The text of the module that runs in the page's audio thread.
 * @type {string}
 */
export const TAP_SOURCE = "";

/**
 * The text of the Worker of a page that captures.
 * @type {string}
 */
export const CAPTURE_WORKER_SOURCE = "";
