// Whether a lane can work between this page and its kernel, and what to tell the user when not.

/** @typedef {{ title: string, detail: string }} Obstacle */

/** @param {string} hostname */
export function isLoopback(hostname) {
  return hostname === "localhost" || hostname.endsWith(".localhost") || hostname === "[::1]" || /^127(\.\d+){3}$/.test(hostname);
}

/**
 * What keeps this page from showing live video, or null.
 * @param {{ hostname: string, secure: boolean, webcodecs: boolean }} page
 * @returns {Obstacle | null}
 */
export function findObstacle({ hostname, secure, webcodecs }) {
  if (!webcodecs && !secure) {
    return {
      title: "This page cannot decode video",
      detail:
        "Browsers decode video only on pages from https or from localhost. Open JupyterLab at http://localhost; " +
        "if it runs on another machine, through a tunnel: ssh -L 8888:localhost:8888 host",
    };
  }
  if (!webcodecs) {
    return {
      title: "This browser cannot decode video",
      detail: "It has no WebCodecs. Open the notebook in a current Chrome, Edge, Firefox or Safari.",
    };
  }
  if (!isLoopback(hostname)) {
    return {
      title: "No live video on this page",
      detail:
        `Video comes straight from the kernel's machine to a page on that machine, and this page comes from ${hostname || "elsewhere"}. ` +
        "Open JupyterLab there, at http://localhost. Frames in Python work here all the same.",
    };
  }
  return null;
}

/**
 * @param {number} port
 * @returns {Obstacle}
 */
export function unreachable(port) {
  return {
    title: "Cannot reach the kernel's video",
    detail:
      `Nothing answers this page at 127.0.0.1:${port}. Is the kernel on another machine? Then forward this port, too: ` +
      `ssh -L ${port}:127.0.0.1:${port} host`,
  };
}
