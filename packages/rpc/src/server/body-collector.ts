import { Code, ConnectError } from "@connectrpc/connect";

/** No bytes at all. */
export const empty = new Uint8Array(0);

/** A body that did not arrive in time. */
export function bodyTimedOut(): ConnectError {
  return new ConnectError("the request's body took too long to arrive", Code.DeadlineExceeded);
}

/** Collects a body from chunks. */
export class BodyCollector {
  #first: Uint8Array | undefined;
  #more: Uint8Array[] | undefined;
  #size = 0;

  constructor(readonly maxBytes: number) {}

  /** Says whether it is too much. */
  add(chunk: Uint8Array): boolean {
    this.#size += chunk.length;
    if (this.#size > this.maxBytes) return true;
    if (this.#first === undefined) this.#first = chunk;
    else if (this.#more === undefined) this.#more = [this.#first, chunk];
    else this.#more.push(chunk);
    return false;
  }

  /** Bytes that nothing else refers to: decoded `bytes` fields are views of them. */
  finish(): Uint8Array {
    if (this.#first === undefined) return empty;
    if (this.#more === undefined) return new Uint8Array(this.#first);
    const body = new Uint8Array(this.#size);
    let offset = 0;
    for (const chunk of this.#more) {
      body.set(chunk, offset);
      offset += chunk.length;
    }
    return body;
  }
}
