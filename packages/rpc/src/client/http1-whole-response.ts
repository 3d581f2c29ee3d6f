import { readLimitError } from "../wire/limits.js";
import type { Http1ResponseHead, Http1ResponseSink } from "./http1-response.js";

const empty = new Uint8Array(0);

/** A whole response. */
export interface Http1Response extends Http1ResponseHead {
  readonly body: Uint8Array;
}

/**
 * Collects a response. Usually all of it comes at once, and then the body is the only thing that is copied: into bytes of its own, because decoded
 * `bytes` fields are views of them.
 */
export class WholeResponse implements Http1ResponseSink {
  readonly #maxBytes: number;
  #head: Http1ResponseHead | undefined;
  #only: Uint8Array | undefined;
  #parts: Uint8Array[] | undefined;
  #size = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  information(): void {}

  begin(head: Http1ResponseHead, bodiless: boolean): void {
    this.#head = head;
    const { contentLength } = head;
    if (!bodiless && contentLength !== undefined && contentLength > this.#maxBytes) {
      throw readLimitError(this.#maxBytes, contentLength);
    }
  }

  data(part: Buffer): void {
    this.#size += part.length;
    if (this.#size > this.#maxBytes) throw readLimitError(this.#maxBytes);
    if (this.#parts !== undefined) this.#parts.push(part);
    else if (part.length === this.#head?.contentLength) this.#only = new Uint8Array(part);
    else this.#parts = [part];
  }

  /** What was collected. */
  finish(): Http1Response {
    const head = this.#head;
    if (head === undefined) throw new Error("a response is finished before it began");
    return { ...head, body: this.#only ?? (this.#parts === undefined ? empty : this.#join(this.#parts)) };
  }

  #join(parts: readonly Uint8Array[]): Uint8Array {
    const body = new Uint8Array(this.#size);
    let offset = 0;
    for (const part of parts) {
      body.set(part, offset);
      offset += part.length;
    }
    return body;
  }
}
