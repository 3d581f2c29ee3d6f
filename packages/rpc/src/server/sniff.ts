import type { Socket } from "node:net";
import { http2Preface } from "../wire/http2-frames.js";

/**
 * Tells HTTP/2 from HTTP/1.1 by a connection's first bytes, which it gives with its decision. No method begins with "PRI", so three bytes decide.
 *
 * A connection that says nothing within the timeout is destroyed.
 */
export function sniff(socket: Socket, timeoutMs: number, decided: (http2: boolean, seen: Buffer) => void): void {
  let seen: Buffer | undefined;
  const onReadable = () => {
    const chunk: Buffer | null = socket.read();
    if (chunk === null) return;
    seen = seen === undefined ? chunk : Buffer.concat([seen, chunk]);
    const length = Math.min(seen.length, 3);
    const matches = seen.compare(http2Preface, 0, length, 0, length) === 0;
    if (matches && length < 3) return;
    stop();
    decided(matches, seen);
  };
  const onGone = () => {
    stop();
    socket.destroy();
  };
  const timer = setTimeout(onGone, timeoutMs);
  const stop = () => {
    clearTimeout(timer);
    socket.off("readable", onReadable);
    socket.off("error", onGone);
    socket.off("end", onGone);
    socket.off("close", stop);
  };
  socket.on("readable", onReadable);
  socket.on("error", onGone);
  socket.on("end", onGone);
  socket.on("close", stop);
}
