// Between the suite's own messages for headers and errors and those of Connect.
import { create, createRegistry } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import { type Code, ConnectError } from "@connectrpc/connect";
import type { Code as ConformanceCode } from "./gen/connectrpc/conformance/v1/config_pb.js";
import {
  type Error as ConformanceError,
  ErrorSchema,
  file_connectrpc_conformance_v1_service,
  type Header,
  HeaderSchema,
} from "./gen/connectrpc/conformance/v1/service_pb.js";

/** Headers as the suite writes them. */
export function toHeaderList(headers: Headers | URLSearchParams): Header[] {
  const list: Header[] = [];
  headers.forEach((value, name) => {
    list.push(create(HeaderSchema, { name, value: [value] }));
  });
  return list;
}

/** Adds the suite's headers to Headers. */
export function appendHeaders(list: Header[], target: Headers): void {
  for (const { name, value } of list) for (const item of value) target.append(name, item);
}

/** The types that `Any` fields hold, for JSON. */
export const registry = createRegistry(file_connectrpc_conformance_v1_service);

/** An error that a handler is told to throw; a detail of a type that the suite does not know is passed on as it is. */
export function toConnectError(error: ConformanceError, extraDetails: Any[] = []): ConnectError {
  const connectError = new ConnectError(error.message ?? "", error.code as number as Code);
  connectError.details = [...error.details, ...extraDetails].map((any) => ({
    type: any.typeUrl.slice(any.typeUrl.lastIndexOf("/") + 1),
    value: any.value,
  }));
  return connectError;
}

/** An error that a client received. */
export function fromConnectError(error: ConnectError): ConformanceError {
  return create(ErrorSchema, {
    code: error.code as number as ConformanceCode,
    message: error.rawMessage,
    details: error.details.map((detail) => {
      if (!("type" in detail)) throw new Error("a received error has details of the sender's kind");
      return { typeUrl: `type.googleapis.com/${detail.type}`, value: detail.value };
    }),
  });
}
