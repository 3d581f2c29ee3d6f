import { promisify } from "node:util";
import * as zlib from "node:zlib";
import { Code, ConnectError } from "@connectrpc/connect";

/** A compression that both sides know. */
export interface Compression {
  readonly name: "gzip" | "br";
  compress(bytes: Uint8Array): Uint8Array | Promise<Uint8Array>;
  /** Never makes more than `maxBytes`, however small the input is. */
  decompress(bytes: Uint8Array, maxBytes: number): Uint8Array | Promise<Uint8Array>;
}

/** Up to here, handing the work to another thread costs more than doing it. */
const syncMaxBytes = 16 * 1024;

const gzipAsync = promisify(zlib.gzip);
const gunzipAsync = promisify(zlib.gunzip);
const brotliCompressAsync = promisify(zlib.brotliCompress);
const brotliDecompressAsync = promisify(zlib.brotliDecompress);

export const gzip: Compression = {
  name: "gzip",
  compress: (bytes) => (bytes.length <= syncMaxBytes ? zlib.gzipSync(bytes) : gzipAsync(bytes)),
  decompress: (bytes, maxBytes) => decompressWith(zlib.gunzipSync, gunzipAsync, bytes, maxBytes),
};

export const brotli: Compression = {
  name: "br",
  // Brotli's default quality takes milliseconds even for small messages.
  compress: (bytes) => brotliCompressAsync(bytes),
  decompress: (bytes, maxBytes) => decompressWith(zlib.brotliDecompressSync, brotliDecompressAsync, bytes, maxBytes),
};

/** In the order of preference. */
export const compressions: readonly Compression[] = [gzip, brotli];

/** The names, as accept-encoding headers list them. */
export const acceptedNames = compressions.map(({ name }) => name).join(",");

/** What a request is compressed with, and what its answer may be. */
export interface Negotiated {
  readonly request: Compression | undefined;
  readonly response: Compression | undefined;
  readonly error: ConnectError | undefined;
}

const none: Negotiated = { request: undefined, response: undefined, error: undefined };

/** Reads the encoding headers of a request. */
export function negotiate(
  requested: string | undefined,
  accepted: string | undefined,
  acceptHeaderName: string,
): Negotiated {
  if (requested === undefined && accepted === undefined) return none;
  const request = requested === undefined || requested === "identity" ? undefined : find(requested);
  const error =
    requested === undefined || requested === "identity" || request
      ? undefined
      : new ConnectError(
          `unknown compression "${requested}": supported encodings are ${acceptedNames}`,
          Code.Unimplemented,
          { [acceptHeaderName]: acceptedNames },
        );
  if (accepted === undefined || accepted === "") return { request, response: request, error };
  for (const name of accepted.split(",")) {
    const response = find(name.trim());
    if (response) return { request, response, error };
  }
  return { request, response: undefined, error };
}

/** The compression of that name. */
export function find(name: string): Compression | undefined {
  return compressions.find((compression) => compression.name === name);
}

type Sync = (bytes: Uint8Array, options: { maxOutputLength: number }) => Uint8Array;
type Async = (bytes: Uint8Array, options: { maxOutputLength: number }) => Promise<Uint8Array>;

function decompressWith(sync: Sync, async: Async, bytes: Uint8Array, maxBytes: number) {
  if (bytes.length === 0) return bytes;
  // What is small may still grow a thousandfold; then it is worth a thread.
  const options = { maxOutputLength: Math.min(maxBytes, syncMaxBytes) };
  if (bytes.length <= syncMaxBytes / 4) {
    try {
      return toPlain(sync(bytes, options));
    } catch (error) {
      const tooLarge = (error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE";
      if (!tooLarge || maxBytes <= syncMaxBytes) throw toDecompressError(error, maxBytes);
    }
  }
  return async(bytes, { maxOutputLength: maxBytes }).then(toPlain, (error: unknown) => {
    throw toDecompressError(error, maxBytes);
  });
}

/** Buffers have methods of their own; handlers are to see plain bytes. */
function toPlain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function toDecompressError(reason: unknown, maxBytes: number): ConnectError {
  const code = (reason as NodeJS.ErrnoException).code ?? "";
  if (code === "ERR_BUFFER_TOO_LARGE") {
    const message = `message is larger than configured readMaxBytes ${maxBytes} after decompression`;
    return new ConnectError(message, Code.ResourceExhausted, undefined, undefined, reason);
  }
  const malformed = code === "Z_DATA_ERROR" || code === "ERR_PADDING_2" || code.startsWith("ERR__ERROR_FORMAT_");
  const kind = malformed ? Code.InvalidArgument : Code.Internal;
  return new ConnectError("decompression failed", kind, undefined, undefined, reason);
}
