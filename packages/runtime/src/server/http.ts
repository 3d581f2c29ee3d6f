import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "@mecha/api/rpc";

/** A plain-HTTP request, of either HTTP version. */
export type HttpRequest = IncomingMessage | Http2ServerRequest;

/** The response to it. */
export type HttpResponse = ServerResponse | Http2ServerResponse;

/** The HTTP status of each code where Connect's own differs from what plain HTTP callers expect, or is asked for often. */
const statuses: Readonly<Record<Code, number>> = {
  [Code.Canceled]: 499,
  [Code.Unknown]: 500,
  [Code.InvalidArgument]: 400,
  [Code.DeadlineExceeded]: 504,
  [Code.NotFound]: 404,
  [Code.AlreadyExists]: 409,
  [Code.PermissionDenied]: 403,
  [Code.ResourceExhausted]: 429,
  [Code.FailedPrecondition]: 400,
  [Code.Aborted]: 409,
  [Code.OutOfRange]: 400,
  [Code.Unimplemented]: 501,
  [Code.Internal]: 500,
  [Code.Unavailable]: 503,
  [Code.DataLoss]: 500,
  [Code.Unauthenticated]: 401,
};

/** Answers and ends; `body` is text or bytes, and its length is told unless `headers` tell another (for HEAD). */
export function send(
  response: HttpResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: string | Uint8Array = "",
): void {
  response.statusCode = status;
  if (status !== 204 && status !== 304) response.setHeader("content-length", Buffer.byteLength(body));
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.end(body);
}

/** Answers with JSON. */
export function sendJson(response: HttpResponse, status: number, value: unknown): void {
  send(
    response,
    status,
    { "content-type": "application/json", "cache-control": "no-store" },
    `${JSON.stringify(value)}\n`,
  );
}

/** The status that plain HTTP has for an error. */
function statusOf(error: ConnectError): number {
  const isTooLarge = error.findDetails(ErrorInfoSchema).some(({ reason }) => reason === "TOO_LARGE");
  return isTooLarge ? 413 : statuses[error.code];
}

/** Answers with an error in the JSON of Connect (code, message, details), and what else there is to tell. */
export async function sendError(
  response: HttpResponse,
  error: ConnectError,
  { status = statusOf(error), more = {} }: { status?: number | undefined; more?: object } = {},
): Promise<void> {
  // Loaded here: what encodes errors is only needed for one.
  const { errorToJson } = await import("@connectrpc/connect/protocol-connect");
  if (!response.headersSent) sendJson(response, status, { ...(errorToJson(error, undefined) as object), ...more });
}

/** A signal that aborts when the caller goes away before it was answered. */
export function abortOnClose(response: HttpResponse): AbortSignal {
  const gone = new AbortController();
  response.once("close", () => {
    if (!response.writableEnded) gone.abort();
  });
  return gone.signal;
}

/** Reads the body; at most `maxBytes` are kept, and `tooLarge` says what to throw for more. */
export async function readBody(
  request: HttpRequest,
  maxBytes: number,
  tooLarge: (actualBytes: number) => Error,
): Promise<Uint8Array<ArrayBuffer>> {
  const declared = Number(request.headers["content-length"] ?? 0);
  if (declared > maxBytes) throw tooLarge(declared);
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      length += chunk.byteLength;
      if (length > maxBytes) throw tooLarge(length);
      chunks.push(chunk);
    }
  } catch (error) {
    // Node's word for a caller that hung up: no bug of ours, and nothing for the log.
    if ((error as NodeJS.ErrnoException).code !== "ECONNRESET") throw error;
    throw new ConnectError("the client went away", Code.Canceled);
  }
  const body = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    body.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return body;
}
