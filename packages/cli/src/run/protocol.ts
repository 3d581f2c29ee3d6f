import type { RuntimeSettings } from "../settings.js";

/** What the runtime is started with. */
export interface StartMessage {
  type: "start";
  settings: RuntimeSettings;
  /** What the app will send with its calls. */
  token: string;
  /** What the runtime will send with what it posts to the app. */
  appToken: string;
  /** Whether the port was asked for by name: then a busy one is an error, else another is taken. */
  portIsChosen: boolean;
  /** How its log looks, for it cannot see the terminal. */
  pretty: boolean;
  color: boolean;
}

/** What `mecha run` tells the runtime beside the app, over the channel that Node opens between parent and child. */
export type ToSidecar =
  | StartMessage
  /** The app runs: should `mecha run` be killed, the runtime stops the app. */
  | { type: "app"; processId: number }
  | { type: "stop" };

/** What the runtime answers. */
export type FromSidecar = { type: "ready"; endpoint: string } | { type: "failed"; message: string };
