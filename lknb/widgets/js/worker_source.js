// `lknb/widgets/esm.py` puts the text of the Worker here: a Worker cannot be started from the module the page runs.

/** @type {string} */
export const WORKER_SOURCE = "";
