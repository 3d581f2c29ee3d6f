import type { Message } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { isPromise } from "../call/invoke.js";
import type { Codec } from "./codec.js";
import type { Compression } from "./compression.js";
import { compressedFlag, type Envelope, EnvelopeReader } from "./envelope.js";

/** Where decoded messages go. */
export interface MessageSink {
  push(message: Message): void;
  end(): void;
  fail(error: unknown): void;
}

/** Turns a stream of chunks into messages, in order, even where decompressing one takes another thread. */
export class MessageReader {
  readonly #codec: Codec;
  readonly #compression: Compression | undefined;
  readonly #maxBytes: number;
  readonly #sink: MessageSink;
  readonly #envelopes: EnvelopeReader;
  readonly #special: ((envelope: Envelope) => boolean) | undefined;
  #pending: Promise<void> | undefined;
  #failed: boolean = false;

  /** @param special sees every envelope first, and says whether it was no message. */
  constructor(
    codec: Codec,
    compression: Compression | undefined,
    maxBytes: number,
    sink: MessageSink,
    special?: (envelope: Envelope) => boolean,
  ) {
    this.#codec = codec;
    this.#compression = compression;
    this.#maxBytes = maxBytes;
    this.#sink = sink;
    this.#envelopes = new EnvelopeReader(maxBytes);
    this.#special = special;
  }

  read(chunk: Uint8Array): void {
    if (this.#failed) return;
    try {
      this.#envelopes.read(chunk, this.#take);
    } catch (error) {
      this.#inOrder(() => this.#fail(error));
    }
  }

  end(): void {
    if (this.#failed) return;
    try {
      this.#envelopes.end();
      this.#inOrder(() => {
        if (!this.#failed) this.#sink.end();
      });
    } catch (error) {
      this.#inOrder(() => this.#fail(error));
    }
  }

  readonly #take = (envelope: Envelope): void => {
    if (this.#pending === undefined) this.#decode(envelope);
    else this.#pending = this.#pending.then(() => this.#decode(envelope));
  };

  #decode(envelope: Envelope): void | Promise<void> {
    if (this.#failed) return;
    try {
      const data = this.#decompress(envelope);
      if (!isPromise(data)) {
        this.#deliver(envelope.flags, data as Uint8Array);
        return;
      }
      const delivered = (data as Promise<Uint8Array>).then(
        (bytes) => this.#deliver(envelope.flags, bytes),
        (error: unknown) => this.#fail(error),
      );
      const pending: Promise<void> = delivered.then(() => {
        if (this.#pending === pending) this.#pending = undefined;
      });
      this.#pending ??= pending;
      return delivered;
    } catch (error) {
      this.#fail(error);
    }
  }

  #decompress({ flags, data }: Envelope): Uint8Array | Promise<Uint8Array> {
    if ((flags & compressedFlag) === 0) return data;
    if (this.#compression === undefined) {
      throw new ConnectError("received compressed envelope, but do not know how to decompress", Code.Internal);
    }
    return this.#compression.decompress(data, this.#maxBytes);
  }

  #deliver(flags: number, data: Uint8Array): void {
    if (this.#failed) return;
    try {
      if (this.#special?.({ flags, data })) return;
      this.#sink.push(this.#codec.parse(data));
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#sink.fail(error);
  }

  #inOrder(then: () => void): void {
    if (this.#pending === undefined) then();
    else this.#pending = this.#pending.then(then);
  }
}
