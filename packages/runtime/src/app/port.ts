import { connect } from "node:net";
import type { Clock } from "@mecha/component";
import type { AppHealth } from "./health.js";

/** How often a port is tried until the app listens, and from then on. */
const waitingIntervalMs = 250;
const watchingIntervalMs = 5000;
/** How soon after it was found away: often it is only starting anew. */
const suspectedIntervalMs = 50;
const connectTimeoutMs = 1000;

/** Apps listen on 127.0.0.1 or on ::1. */
export const appHost = "localhost";

/** Tries the app's port from now on: the app is healthy as long as it takes connections. */
export function watchAppPort(port: number, clock: Clock): AppHealth {
  const listeners = new Set<() => void>();
  let healthy = false;
  let closed = false;
  let cancel = () => {};

  const turn = (to: boolean) => {
    if (healthy === to) return;
    healthy = to;
    for (const listener of listeners) listener();
  };
  const tryIt = async () => {
    const answer = await takesConnections(port);
    if (closed) return;
    // Scheduled before the listeners are told: one of them may suspect it again.
    tryAfter(answer ? watchingIntervalMs : waitingIntervalMs);
    turn(answer);
  };
  const tryAfter = (delayMs: number) => {
    cancel();
    cancel = clock.after(delayMs, () => void tryIt());
  };

  void tryIt();
  return {
    get healthy() {
      return healthy;
    },
    onTurn(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    suspect() {
      if (!healthy || closed) return;
      tryAfter(suspectedIntervalMs);
      turn(false);
    },
    close() {
      closed = true;
      cancel();
    },
  };
}

function takesConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: appHost, timeout: connectTimeoutMs });
    const done = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", () => done(true));
    socket.once("timeout", () => done(false));
    socket.once("error", () => done(false));
    socket.unref();
  });
}
