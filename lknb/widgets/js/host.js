// How this page may reach the room core, and what keeps it from showing live video.

/** @typedef {{ title: string, detail: string }} Obstacle */

/** @param {string} hostname */
export function isLoopback(hostname) {
  return hostname === "localhost" || hostname.endsWith(".localhost") || hostname === "[::1]" || /^127(\.\d+){3}$/.test(hostname);
}

/**
 * Where this page may open websockets to a port of the kernel's machine, best first.
 * @param {{ protocol: string, hostname: string, host: string }} page of `location`
 * @param {string} baseUrl path of the notebook's server, "/" or "/user/jo/"
 * @param {number} port
 * @returns {{ name: "direct" | "proxy", url: string }[]}
 */
export function findWebsockets({ protocol, hostname, host }, baseUrl, port) {
  /** @type {{ name: "direct" | "proxy", url: string }[]} */
  const found = [];
  if (isLoopback(hostname)) found.push({ name: "direct", url: `ws://127.0.0.1:${port}/` });
  const scheme = { "http:": "ws://", "https:": "wss://" }[protocol];
  if (scheme && host) found.push({ name: "proxy", url: `${scheme}${host}${baseUrl}proxy/${port}/` });
  return found;
}

/**
 * The path of the notebook's server, with a slash at both ends: JupyterLab and Notebook tell it in the page, nbclassic in an
 * attribute; else it is what stands before a part of the path that all of them have.
 * @param {Document} page
 * @param {string} pathname
 */
export function findBaseUrl(page, pathname) {
  const told = readConfig(page.getElementById("jupyter-config-data")?.textContent ?? "") ?? page.body?.dataset.baseUrl;
  const path = told ?? /^(.*?\/)(?:lab|tree|notebooks|doc|edit|retro|voila)(?:\/|$)/.exec(pathname)?.[1] ?? "/";
  return `/${path}/`.replace(/\/+/g, "/");
}

/** @param {string} text */
function readConfig(text) {
  try {
    const { baseUrl } = JSON.parse(text);
    // of a whole address, which it may be, only the path
    return typeof baseUrl === "string" ? baseUrl.replace(/^(\w+:)?\/\/[^/]*/, "") : undefined;
  } catch {
    return undefined;
  }
}

/**
 * What keeps this page from showing live video, or null.
 * @param {{ canvas: boolean }} page
 * @returns {Obstacle | null}
 */
export function findObstacle({ canvas }) {
  if (canvas) return null;
  return {
    title: "This browser cannot show video",
    detail: "It has no canvas for a Worker. Open the notebook in a current Chrome, Edge, Firefox or Safari.",
  };
}

/**
 * Why a page gets single pictures in place of video, and what to do.
 * @param {{ secure: boolean, decoder: boolean }} page
 */
export function explainStills({ secure, decoder }) {
  if (decoder) {
    return "Single pictures: this browser has no decoder for this video. Have it sent as VP8; Firefox on Linux plays H264 once libavcodec (FFmpeg) is installed.";
  }
  return secure
    ? "Single pictures: this browser has no WebCodecs for video. Open the notebook in a current Chrome, Edge, Firefox or Safari."
    : "Single pictures: browsers decode video only on pages from https or localhost (ssh -L 8888:localhost:8888 host).";
}
