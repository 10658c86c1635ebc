// What the modules say to each other, and the few things TypeScript's libraries do not have.

/** What anywidget gives `initialize` and `render`: only what every host has. */
interface WidgetModel {
  get(name: string): any;
  set(name: string, value: unknown): void;
  save_changes(): void;
  on(name: string, callback: (...args: any[]) => void): void;
  off(name: string, callback?: (...args: any[]) => void): void;
  send(content: unknown, callbacks?: unknown, buffers?: ArrayBuffer[]): void;
}

type LaneName = "direct" | "proxy" | "comm";
type PlayerState = "waiting" | "playing" | "muted" | "ended" | "error";
type TileState = PlayerState | "connecting";

/** Page to Worker. */
type PlayerCommand =
  | { type: "open"; way: import("./channel.js").Way }
  | { type: "close" }
  | { type: "canvas"; id: number; canvas: OffscreenCanvas }
  | { type: "drop"; id: number }
  | { type: "show"; id: number; shown: boolean }
  | { type: "visible"; visible: Record<string, unknown> }
  | { type: "picture" };

/** Worker to page. */
type PlayerEvent =
  | { type: "state"; state: PlayerState; detail: string }
  | { type: "size"; width: number; height: number }
  | { type: "opened"; name: LaneName }
  | { type: "closed"; name: LaneName; opened: boolean };

/** The global object of a dedicated Worker; lib.webworker.d.ts cannot stand next to lib.dom.d.ts. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<PlayerCommand>) => void) | null;
  postMessage(message: PlayerEvent): void;
}
