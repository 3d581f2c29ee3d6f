import type { Message } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { parseTimeout, setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import type { CallContext } from "../call/context.js";
import { isPromise } from "../call/invoke.js";
import type { RequestHead } from "../options.js";
import type { Exchange } from "../server/exchange.js";
import { createCallContext, type ServedRoute, type Service, toSentError } from "../server/service.js";
import type { Codec } from "../wire/codec.js";
import { type Negotiated, negotiate } from "../wire/compression.js";
import { compressedFlag, type Envelope } from "../wire/envelope.js";

/** The content type of an answer. */
export type GrpcType = "application/grpc+proto" | "application/grpc+json";

/** The content type of an answer, or undefined when this is no gRPC request. */
export function matchGrpc(head: Pick<RequestHead, "method" | "header">): GrpcType | undefined {
  if (head.method !== "POST") return undefined;
  const type = head.header("content-type");
  if (type === "application/grpc" || type === "application/grpc+proto") return "application/grpc+proto";
  if (type === undefined) return undefined;
  const match = /^application\/grpc(?:\+(?:(json)(?:; ?charset=utf-?8)?|proto))?$/i.exec(type);
  if (match === null) return undefined;
  return match[1] === undefined ? "application/grpc+proto" : "application/grpc+json";
}

/** What every gRPC call begins and ends with, whatever comes between. */
export class GrpcCallBase {
  readonly service: Service;
  readonly type: GrpcType;
  readonly input: Codec;
  readonly compression: Negotiated;
  readonly context: CallContext;
  /** Why the call cannot begin. */
  readonly early: ConnectError | undefined;
  readonly #output: Codec;

  constructor(service: Service, route: ServedRoute, exchange: Exchange, type: GrpcType) {
    this.service = service;
    this.type = type;
    const isJson = type === "application/grpc+json";
    this.input = isJson ? route.input.json : route.input.binary;
    this.#output = isJson ? route.output.json : route.output.binary;
    const timeoutHeader = exchange.header("grpc-timeout");
    const timeout = timeoutHeader === undefined ? undefined : parseTimeout(timeoutHeader, service.limits.maxTimeoutMs);
    this.compression = negotiate(
      exchange.header("grpc-encoding"),
      exchange.header("grpc-accept-encoding"),
      "Grpc-Accept-Encoding",
    );
    this.early = this.compression.error ?? timeout?.error;
    this.context = createCallContext(service, route, exchange, "grpc", timeout?.timeoutMs);
  }

  encode(message: Message): Envelope | Promise<Envelope> {
    const data = this.#output.serialize(message);
    const { response } = this.compression;
    if (response === undefined || data.length < this.service.compressMinBytes) return { flags: 0, data };
    const compressed = response.compress(data);
    if (isPromise(compressed)) {
      return (compressed as Promise<Uint8Array>).then((bytes) => ({ flags: compressedFlag, data: bytes }));
    }
    return { flags: compressedFlag, data: compressed as Uint8Array };
  }

  /** The headers of the answer, names and values in turn. */
  headers(): string[] {
    const list = ["content-type", this.type as string];
    const { response } = this.compression;
    if (response) list.push("grpc-encoding", response.name);
    this.context.setHeader?.forEach((value, name) => {
      list.push(name, value);
    });
    return list;
  }

  /** Ends the call, well or with an error, and gives its trailers; what a handler throws by accident stays inside. */
  end(reason: unknown): readonly string[] {
    this.context.abort(reason);
    this.service.signalled.delete(this.context);
    const { setTrailer } = this.context;
    if (reason === undefined && setTrailer === undefined) return ok;
    const trailer = new Headers(setTrailer);
    trailer.set("grpc-status", "0");
    if (reason !== undefined) setTrailerStatus(trailer, toSentError(reason, this.service));
    const list: string[] = [];
    trailer.forEach((value, name) => {
      list.push(name, value);
    });
    return list;
  }
}

const ok: readonly string[] = ["grpc-status", "0"];
