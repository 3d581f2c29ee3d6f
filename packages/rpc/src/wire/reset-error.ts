import { constants } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";

/** https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#errors */
const codes = new Map<number, [code: Code, name: string]>([
  [constants.NGHTTP2_NO_ERROR, [Code.Internal, "NO_ERROR"]],
  [constants.NGHTTP2_PROTOCOL_ERROR, [Code.Internal, "PROTOCOL_ERROR"]],
  [constants.NGHTTP2_INTERNAL_ERROR, [Code.Internal, "INTERNAL_ERROR"]],
  [constants.NGHTTP2_FLOW_CONTROL_ERROR, [Code.Internal, "FLOW_CONTROL_ERROR"]],
  [constants.NGHTTP2_STREAM_CLOSED, [Code.Internal, "STREAM_CLOSED"]],
  [constants.NGHTTP2_REFUSED_STREAM, [Code.Unavailable, "REFUSED_STREAM"]],
  [constants.NGHTTP2_CANCEL, [Code.Canceled, "CANCEL"]],
  [constants.NGHTTP2_ENHANCE_YOUR_CALM, [Code.ResourceExhausted, "ENHANCE_YOUR_CALM"]],
  [constants.NGHTTP2_INADEQUATE_SECURITY, [Code.PermissionDenied, "INADEQUATE_SECURITY"]],
  [constants.NGHTTP2_HTTP_1_1_REQUIRED, [Code.PermissionDenied, "HTTP_1_1_REQUIRED"]],
]);

/** Why the other side reset a stream. */
export function toResetError(code = constants.NGHTTP2_CANCEL, cause?: unknown): ConnectError {
  const [kind, name] = codes.get(code) ?? [Code.Internal, "unknown"];
  const message = `http/2 stream closed with error code ${name} (0x${code.toString(16)})`;
  return new ConnectError(message, kind, undefined, undefined, cause);
}

/** Why a handler's caller is gone: without a reset, its connection is. */
export function toGoneError(code: number | undefined): ConnectError {
  return toResetError(code === undefined || code === constants.NGHTTP2_NO_ERROR ? constants.NGHTTP2_CANCEL : code);
}
