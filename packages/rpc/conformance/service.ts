// The service that the conformance suite's clients call: it does what each request says.
import { setTimeout as sleep } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { type Any, anyPack } from "@bufbuild/protobuf/wkt";
import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { appendHeaders, toConnectError, toHeaderList } from "./convert.ts";
import {
  BidiStreamRequestSchema,
  ClientStreamRequestSchema,
  type ConformancePayload_RequestInfo,
  ConformancePayload_RequestInfoSchema,
  ConformanceService,
  IdempotentUnaryRequestSchema,
  ServerStreamRequestSchema,
  type StreamResponseDefinition,
  UnaryRequestSchema,
  type UnaryResponseDefinition,
} from "./gen/connectrpc/conformance/v1/service_pb.js";

/** Registers the service. */
export function conformanceRoutes(router: ConnectRouter): void {
  router.service(ConformanceService, {
    unary: (request, context) =>
      answerOnce(request.responseDefinition, [anyPack(UnaryRequestSchema, request)], context),
    idempotentUnary: (request, context) =>
      answerOnce(request.responseDefinition, [anyPack(IdempotentUnaryRequestSchema, request)], context),

    async clientStream(requests, context) {
      const received: Any[] = [];
      let definition: UnaryResponseDefinition | undefined;
      for await (const request of requests) {
        if (received.length === 0) definition = request.responseDefinition;
        received.push(anyPack(ClientStreamRequestSchema, request));
      }
      return answerOnce(definition, received, context);
    },

    async *serverStream(request, context) {
      const definition = request.responseDefinition;
      const requestInfo = toRequestInfo(context, [anyPack(ServerStreamRequestSchema, request)]);
      setMetadata(definition, context);
      yield* answerAll(definition, requestInfo, context, 0);
      throwWhenTold(definition, requestInfo);
    },

    async *bidiStream(requests, context) {
      const received: Any[] = [];
      let definition: StreamResponseDefinition | undefined;
      let fullDuplex = false;
      let sent = 0;
      for await (const request of requests) {
        if (definition === undefined) {
          definition = request.responseDefinition;
          fullDuplex = request.fullDuplex;
          setMetadata(definition, context);
        }
        received.push(anyPack(BidiStreamRequestSchema, request));
        if (!fullDuplex) continue;
        const data = definition?.responseData[sent];
        if (data === undefined) break;
        await delay(definition?.responseDelayMs, context);
        const requestInfo =
          sent === 0
            ? toRequestInfo(context, received)
            : create(ConformancePayload_RequestInfoSchema, { requests: received.slice(-1) });
        yield { payload: { data, requestInfo } };
        sent++;
      }
      if (definition === undefined) return;
      const requestInfo = toRequestInfo(context, received);
      if (!fullDuplex || sent > 0) yield* answerAll(definition, sent === 0 ? requestInfo : undefined, context, sent);
      throwWhenTold(definition, sent === 0 ? requestInfo : undefined);
    },
  });
}

async function answerOnce(definition: UnaryResponseDefinition | undefined, requests: Any[], context: HandlerContext) {
  const requestInfo = toRequestInfo(context, requests);
  if (definition === undefined) return { payload: { requestInfo } };
  setMetadata(definition, context);
  await delay(definition.responseDelayMs, context);
  if (definition.response.case === "error") {
    throw toConnectError(definition.response.value, [anyPack(ConformancePayload_RequestInfoSchema, requestInfo)]);
  }
  return {
    payload: { requestInfo, ...(definition.response.case === "responseData" && { data: definition.response.value }) },
  };
}

async function* answerAll(
  definition: StreamResponseDefinition | undefined,
  requestInfo: ConformancePayload_RequestInfo | undefined,
  context: HandlerContext,
  from: number,
) {
  for (const [index, data] of (definition?.responseData ?? []).slice(from).entries()) {
    await delay(definition?.responseDelayMs, context);
    yield { payload: { data, ...(index === 0 && requestInfo && { requestInfo }) } };
  }
}

/** The error's details bear the request only when no message did. */
function throwWhenTold(
  definition: StreamResponseDefinition | undefined,
  requestInfo: ConformancePayload_RequestInfo | undefined,
): void {
  if (definition?.error === undefined) return;
  const details =
    requestInfo && definition.responseData.length === 0
      ? [anyPack(ConformancePayload_RequestInfoSchema, requestInfo)]
      : [];
  throw toConnectError(definition.error, details);
}

function setMetadata(
  definition: UnaryResponseDefinition | StreamResponseDefinition | undefined,
  context: HandlerContext,
): void {
  appendHeaders(definition?.responseHeaders ?? [], context.responseHeader);
  appendHeaders(definition?.responseTrailers ?? [], context.responseTrailer);
}

function toRequestInfo(context: HandlerContext, requests: Any[]): ConformancePayload_RequestInfo {
  const timeoutMs = context.timeoutMs();
  return create(ConformancePayload_RequestInfoSchema, {
    requestHeaders: toHeaderList(context.requestHeader),
    requests,
    ...(timeoutMs !== undefined && { timeoutMs: BigInt(Math.max(0, Math.round(timeoutMs))) }),
    ...(context.requestMethod === "GET" && {
      connectGetInfo: { queryParams: toHeaderList(new URL(context.url).searchParams) },
    }),
  });
}

async function delay(ms: number | undefined, context: HandlerContext): Promise<void> {
  if (!ms) return;
  await sleep(ms, undefined, { signal: context.signal }).catch(() => context.signal.throwIfAborted());
}
