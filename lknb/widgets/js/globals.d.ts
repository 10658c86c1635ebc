// What the modules say to each other, and the few things TypeScript's libraries do not have.

/** What anywidget gives `initialize` and `render`: only what every host has. */
interface WidgetModel {
  get(name: string): any;
  set(name: string, value: unknown): void;
  save_changes(): void;
  on(name: string, callback: (...args: any[]) => void): void;
  off(name: string, callback?: (...args: any[]) => void): void;
  send(content: unknown, callbacks?: unknown, buffers?: ArrayBuffer[]): void;
  /** Of hosts built on ipywidgets. */
  widget_manager?: { get_model?(id: string): Promise<unknown>; kernel?: KernelConnection };
}

/** Of hosts built on JupyterLab. */
interface KernelConnection {
  statusChanged?: HostSignal<string>;
  disposed?: HostSignal<void>;
}
interface HostSignal<Told> {
  connect(heard: (sender: unknown, told: Told) => void): void;
  disconnect(heard: (sender: unknown, told: Told) => void): void;
}

type LaneName = "direct" | "proxy" | "comm";
type PlayerState = "waiting" | "playing" | "muted" | "ended" | "error";
type TileState = PlayerState | "connecting";
type FaceState = TileState | "absent" | "unsubscribed" | "forbidden";

/** Page to Worker. */
type PlayerCommand =
  | { type: "open"; way: import("./channel.js").Way; turn: number }
  | { type: "close" }
  | { type: "canvas"; id: number; canvas: OffscreenCanvas }
  | { type: "drop"; id: number }
  | { type: "show"; id: number; shown: boolean }
  | { type: "visible"; visible: Record<string, unknown> }
  | { type: "picture" };

/** What a player tells; the Worker adds the turn it is of. */
type PlayerEvent =
  | { type: "state"; state: PlayerState; detail: string }
  | { type: "size"; width: number; height: number }
  | { type: "opened"; name: LaneName }
  | { type: "codec"; codec: string }
  | { type: "closed"; name: LaneName; opened: boolean };

/** The global object of a dedicated Worker; lib.webworker.d.ts cannot stand next to lib.dom.d.ts. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<PlayerCommand>) => void) | null;
  postMessage(message: PlayerEvent & { turn: number }): void;
}

/** To the audio thread: from the page how to begin and to end, from the Worker what to play. */
type MixerCommand =
  | { type: "sound"; index: number; position: number; channels: Float32Array[] }
  | { type: "flush"; index: number }
  | { type: "drop"; index: number }
  | { type: "gain"; index: number; gain: number };
type MixerOrder = { type: "source"; port: MessagePort } | { type: "end" };

interface HeardTrack {
  index: number;
  sid: string;
  participant: string;
  muted: boolean;
}

/** From the part of the Worker that listens. */
type ListenerEvent =
  | { type: "tracks"; tracks: HeardTrack[] }
  | { type: "levels"; levels: Record<string, number> }
  | { type: "unsupported"; detail: string }
  | { type: "ended" };

/** Page to the Worker that listens to a room, and back. */
type EarCommand =
  | { type: "open"; way: import("./channel.js").Way }
  | { type: "sink"; sink: MessagePort | null; blocked: boolean }
  | { type: "gains"; gains: Record<string, number> };
type EarEvent =
  | ListenerEvent
  | { type: "opened"; name: LaneName }
  | { type: "closed"; name: LaneName; opened: boolean };
interface EarScope {
  onmessage: ((event: MessageEvent<EarCommand>) => void) | null;
  postMessage(message: EarEvent): void;
}

/** What plays a room in this page, as its views know it. */
interface SoundPlayer {
  /** Whether there is something to be heard, if the browser lets us. */
  readonly playing: boolean;
  readonly state: string;
  readonly status: string;
  readonly tracks: HeardTrack[];
  /** From 0 to 1, by track sid. */
  readonly levels: Record<string, number>;
  /** Begin anew, after an error. */
  retry(): void;
}

/** The global object of an audio worklet. */
declare const currentFrame: number;
declare const sampleRate: number;
declare class AudioWorkletProcessor {
  readonly port: MessagePort;
  process(inputs: Float32Array[][], outputs: Float32Array[][], parameters: Record<string, Float32Array>): boolean;
}
declare function registerProcessor(name: string, processor: new () => AudioWorkletProcessor): void;

/** The capturing page to its Worker. */
type CaptureCommand =
  | { type: "lane"; way: import("./channel.js").Way; client: string; able: boolean }
  | { type: "shut" }
  | { type: "say"; header: Record<string, unknown> }
  | { type: "video"; capture: number; readable: ReadableStream<VideoFrame> }
  | { type: "frame"; capture: number; frame: VideoFrame }
  | { type: "forget"; capture: number }
  | { type: "sound"; capture: number; readable: ReadableStream<AudioData> }
  | { type: "audio"; capture: number; port: MessagePort; sampleRate: number }
  | { type: "pause"; capture: number; paused: boolean }
  | { type: "drop"; capture: number };

/** The Worker to the capturing page. */
type CaptureEvent =
  | { type: "ready" }
  | { type: "opened"; name: LaneName }
  | { type: "closed"; name: LaneName; opened: boolean }
  | { type: "release" }
  | { type: "broken"; capture: number; codec: string }
  | { type: "command"; header: Record<string, any> }
  | { type: "level"; capture: number; level: number };

interface CaptureScope {
  onmessage: ((event: MessageEvent<CaptureCommand>) => void) | null;
  postMessage(message: CaptureEvent): void;
}

/** Chrome has it, on windows only; the libraries do not know it. */
declare class MediaStreamTrackProcessor {
  constructor(init: { track: MediaStreamTrack });
  readable: ReadableStream<any>;
}
