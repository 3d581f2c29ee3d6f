import type { Http2Stream } from "node:http2";

/** Where the bytes of a stream go. */
export interface ByteSink {
  /** Sends bytes, as fast as the peer takes them; says whether it keeps up. What is too late is dropped. */
  write(bytes: Uint8Array): boolean;
  /** Resolves when the peer has read on, or is gone. */
  drained(): Promise<void>;
}

/** The sending side of a stream of `node:http2`. */
export function toByteSink(stream: Http2Stream): ByteSink {
  return {
    write: (bytes) => stream.destroyed || stream.writableEnded || stream.write(bytes),
    async drained() {
      if (stream.destroyed || !stream.writableNeedDrain) return;
      await new Promise<void>((resolve) => {
        const done = () => {
          stream.off("drain", done);
          stream.off("close", done);
          resolve();
        };
        stream.once("drain", done);
        stream.once("close", done);
      });
    },
  };
}
