import type { IncomingMessage, ServerResponse } from "node:http";
import type { ConnectError } from "@connectrpc/connect";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import {
  codeToHttpStatus,
  createEndStreamSerialization,
  endStreamFlag,
  errorToJsonBytes,
} from "@connectrpc/connect/protocol-connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { trailerFlag, trailerSerialize } from "@connectrpc/connect/protocol-grpc-web";

/** An error as a whole response, before anything of the body was read. */
export interface Refusal {
  status: number;
  headers: Record<string, string>;
  body: Uint8Array | undefined;
}

/** Encodes a refusal as the request's protocol wants it; what is no RPC gets the Connect error JSON and its HTTP status. */
export function encodeRefusal(contentType: string, error: ConnectError): Refusal {
  const headers: Record<string, string> = {};
  error.metadata.forEach((value, name) => {
    headers[name] = value;
  });
  if (contentType.startsWith("application/grpc-web")) {
    const trailer = new Headers();
    setTrailerStatus(trailer, error);
    headers["content-type"] = contentType;
    return { status: 200, headers, body: encodeEnvelope(trailerFlag, trailerSerialize(trailer)) };
  }
  if (contentType.startsWith("application/grpc")) {
    // "Trailers-Only": the status travels in the header block of a response without a body.
    const status = new Headers(headers);
    setTrailerStatus(status, error);
    return { status: 200, headers: { ...Object.fromEntries(status), "content-type": contentType }, body: undefined };
  }
  if (contentType.startsWith("application/connect+")) {
    headers["content-type"] = contentType;
    const end = createEndStreamSerialization(undefined).serialize({ metadata: new Headers(), error });
    return { status: 200, headers, body: encodeEnvelope(endStreamFlag, end) };
  }
  headers["content-type"] = "application/json";
  return { status: codeToHttpStatus(error.code), headers, body: errorToJsonBytes(error, undefined) };
}

/** Answers a request that the guard refused, without reading its body. */
export function refuse(request: IncomingMessage, response: ServerResponse, error: ConnectError): void {
  const { status, headers, body } = encodeRefusal(request.headers["content-type"] ?? "", error);
  if (body) headers["content-length"] = String(body.length);
  // The unread body would otherwise have to be read before the connection could be used again.
  if (request.httpVersionMajor === 1 && !request.complete) headers.connection = "close";
  response.writeHead(status, headers);
  if (body) response.end(body);
  else response.end();
}
