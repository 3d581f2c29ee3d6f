import { connect } from "node:net";
import type { Clock } from "@mecha/component";

/** How often a port is tried until the app listens, and from then on. */
const waitingIntervalMs = 250;
const watchingIntervalMs = 5000;
const connectTimeoutMs = 1000;

/** The port that the app listens on, watched. */
export interface AppPort {
  /** Whether the app took the last connection that was tried. */
  readonly listening: boolean;
  close(): void;
}

/** Tries the app's port from now on. */
export function watchAppPort(port: number, clock: Clock): AppPort {
  let listening = false;
  let closed = false;
  let cancel = () => {};
  const tryIt = async () => {
    const answer = await takesConnections(port);
    if (closed) return;
    listening = answer;
    cancel = clock.after(listening ? watchingIntervalMs : waitingIntervalMs, () => void tryIt());
  };
  void tryIt();
  return {
    get listening() {
      return listening;
    },
    close() {
      closed = true;
      cancel();
    },
  };
}

function takesConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    // "localhost": apps listen on 127.0.0.1 or on ::1.
    const socket = connect({ port, host: "localhost", timeout: connectTimeoutMs });
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
