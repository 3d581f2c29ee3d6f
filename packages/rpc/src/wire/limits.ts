import { Code, ConnectError } from "@connectrpc/connect";

/** A message that is larger than may be read. */
export function readLimitError(maxBytes: number, size?: number): ConnectError {
  const message = size === undefined ? "message size is larger" : `message size ${size} is larger`;
  return new ConnectError(`${message} than configured readMaxBytes ${maxBytes}`, Code.ResourceExhausted);
}

/** A message that is larger than may be written. */
export function writeLimitError(maxBytes: number, size: number): ConnectError {
  const message = `message size ${size} is larger than configured writeMaxBytes ${maxBytes}`;
  return new ConnectError(message, Code.ResourceExhausted);
}
