import type { LogStyle } from "../logger.js";
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
  style: LogStyle;
}

/** What `mecha run` tells the runtime beside the app, over the channel that Node opens between parent and child. */
export type ToSidecar =
  | StartMessage
  /** The app runs, as this process group: should `mecha run` be killed, the runtime stops the app. */
  | { type: "app"; processId: number }
  /** The app is gone for a while, and its process id may become another's. */
  | { type: "app-ended" }
  /** The app is about to be stopped: others should go elsewhere. */
  | { type: "withdraw" }
  /** The app is gone for good. */
  | { type: "stop" };

/** What the runtime tells. */
export type FromSidecar =
  | { type: "ready"; endpoint: string }
  | { type: "failed"; message: string }
  /** Nobody finds the app any more. */
  | { type: "withdrawn" }
  /** The app should be started anew: a probe says that this process of it did not start in time, or is of no use any more. */
  | { type: "app-failed"; processId: number; reason: string };
