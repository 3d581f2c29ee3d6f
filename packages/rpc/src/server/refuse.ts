import type { ConnectError } from "@connectrpc/connect";
import { codeToHttpStatus, createEndStreamSerialization, errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { trailerSerialize } from "@connectrpc/connect/protocol-grpc-web";
import { connectEndFlag, encodeEnvelope, grpcWebTrailerFlag } from "../wire/envelope.js";

/** An error as a whole response, before anything of the body was read. */
export interface Refusal {
  readonly status: number;
  /** Names and values in turn. */
  readonly headers: string[];
  readonly body: Uint8Array;
}

/** Encodes a refusal as the request's protocol wants it; what is no RPC gets the Connect error JSON and its HTTP status. */
export function encodeRefusal(contentType: string, error: ConnectError): Refusal {
  const headers = new Headers(error.metadata);
  headers.set("content-type", contentType);
  if (contentType.startsWith("application/grpc-web")) {
    const trailer = setTrailerStatus(new Headers(), error);
    return toRefusal(200, headers, encodeEnvelope(grpcWebTrailerFlag, trailerSerialize(trailer)));
  }
  if (contentType.startsWith("application/grpc")) {
    // "Trailers-Only": the status travels in the header block of a response without a body.
    return toRefusal(200, setTrailerStatus(headers, error), new Uint8Array());
  }
  if (contentType.startsWith("application/connect+")) {
    const end = createEndStreamSerialization(undefined).serialize({ metadata: new Headers(), error });
    return toRefusal(200, headers, encodeEnvelope(connectEndFlag, end));
  }
  headers.set("content-type", "application/json");
  const body = errorToJsonBytes(error, undefined);
  headers.set("content-length", String(body.length));
  return toRefusal(codeToHttpStatus(error.code), headers, body);
}

function toRefusal(status: number, headers: Headers, body: Uint8Array): Refusal {
  const list: string[] = [];
  headers.forEach((value, name) => {
    list.push(name, value);
  });
  return { status, headers: list, body };
}
