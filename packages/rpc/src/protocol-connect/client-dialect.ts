import { Code, ConnectError } from "@connectrpc/connect";
import { createEndStreamSerialization, validateResponseWithCompression } from "@connectrpc/connect/protocol-connect";
import { fromHttp2Headers, toPseudoHeaders } from "../client/http2-exchange.js";
import { forEachCallerHeader, userAgent } from "../client/outgoing-call.js";
import type { StreamDialect } from "../client/stream-dialect.js";
import { acceptedNames, compressions, find } from "../wire/compression.js";
import { connectEndFlag } from "../wire/envelope.js";

/** Connect's streams: the status is in the last envelope. */
export const connectDialect: StreamDialect = {
  requestHeaders(config, call) {
    const headers = toPseudoHeaders(config, "POST", call.client.path);
    headers["content-type"] = config.json ? "application/connect+json" : "application/connect+proto";
    headers["connect-protocol-version"] = "1";
    headers["user-agent"] = call.header?.get("user-agent") ?? userAgent;
    if (config.sendCompression) headers["connect-content-encoding"] = config.sendCompression.name;
    if (config.acceptCompression) headers["connect-accept-encoding"] = acceptedNames;
    if (call.timeoutMs !== undefined) headers["connect-timeout-ms"] = String(Math.ceil(call.timeoutMs));
    forEachCallerHeader(call.header, (name, value) => {
      headers[name] = value;
    });
    return headers;
  },
  startReading(config, head) {
    const header = fromHttp2Headers(head);
    const { compression } = validateResponseWithCompression(
      "bidi_streaming",
      compressions as never,
      !config.json,
      Number(head[":status"]),
      header,
    );
    const serialization = createEndStreamSerialization(config.options.jsonOptions);
    let end: ReturnType<typeof serialization.parse> | undefined;
    return {
      header,
      compression: compression && find(compression.name),
      special({ flags, data }) {
        if ((flags & connectEndFlag) === 0) {
          if (end) throw afterEnd("message after");
          return false;
        }
        if (end) throw afterEnd("");
        end = serialization.parse(data);
        return true;
      },
      finish() {
        if (end === undefined) {
          throw new ConnectError("protocol error: missing EndStreamResponse", Code.InvalidArgument);
        }
        const { error } = end;
        if (error) {
          header.forEach((value, name) => {
            error.metadata.append(name, value);
          });
          throw error;
        }
        return end.metadata;
      },
    };
  },
};

function afterEnd(what: string): ConnectError {
  return new ConnectError(
    `protocol error: received extra ${what} EndStreamResponse`.replace("  ", " "),
    Code.InvalidArgument,
  );
}
