import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { mergeNonProtocolHeaders } from "@connectrpc/connect/protocol";
import type { CallContext } from "../call/context.js";

/** A handler's error as a caller on the other side of a wire would see it: nothing of the server but what it meant to tell. */
export function toReceivedError(reason: unknown, context: CallContext): ConnectError {
  const error = reason instanceof ConnectError ? reason : new ConnectError("internal error", Code.Internal);
  const metadata = new Headers(context.setHeader);
  context.setTrailer?.forEach((value, name) => {
    metadata.append(name, value);
  });
  if (!error.isWireError) mergeNonProtocolHeaders(metadata, error.metadata);
  const received = new ConnectError(error.rawMessage, error.code, metadata);
  received.details = error.details.map((detail) =>
    "desc" in detail
      ? { type: detail.desc.typeName, value: toBinary(detail.desc, create(detail.desc, detail.value)) }
      : { type: detail.type, value: detail.value },
  );
  received.isWireError = true;
  return received;
}
