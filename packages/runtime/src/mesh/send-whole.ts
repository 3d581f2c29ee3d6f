import type { IncomingHttpHeaders } from "node:http";
import { createHttp1Client, type Http1Client, type Http1ClientOptions } from "@mecha/rpc";
import type { Answer, Outbound, OutboundRequest } from "./exchange.js";
import { endToEnd, type HeaderMap, trailersOf, untouchedHeader } from "./headers.js";

/** What the headers of an answer say, whoever it is for. */
interface AnswerHeaders {
  /** Those that go on. */
  readonly goOn: HeaderMap;
  readonly untouched: boolean;
  readonly hasContent: boolean;
}

/** Sends whole requests over HTTP/1.1. */
export type WholeClient = Http1Client<AnswerHeaders>;

/** Makes a client for an app, or for a runtime, which says whether its app did something with a request. */
export function createWholeClient(
  to: "app" | "runtime",
  options: Omit<Http1ClientOptions, "fromHeaders">,
): WholeClient {
  return createHttp1Client<AnswerHeaders>({
    ...options,
    fromHeaders: (headers: IncomingHttpHeaders) => ({
      goOn: endToEnd(headers),
      untouched: to === "runtime" && headers[untouchedHeader] !== undefined,
      hasContent: headers["content-type"] !== undefined,
    }),
  });
}

/** Whether a request can be sent as a whole. */
export function mayGoWhole({ whole, awaitsContinue, method }: OutboundRequest): boolean {
  return whole !== undefined && !awaitsContinue && method !== "CONNECT";
}

/** Sends a request that is whole; undefined if it is not, or if no connection is free. */
export function sendWhole(
  client: WholeClient,
  host: string,
  request: OutboundRequest,
  answer: Answer,
): Outbound | undefined {
  const { method, target, headers, whole } = request;
  if (whole === undefined || !mayGoWhole(request)) return undefined;
  const cancel = client.send(
    { method, target, host, headers, body: whole },
    {
      information: (status, found) => answer.information(status, endToEnd(found)),
      responded({ status, headers: { goOn, untouched, hasContent }, body, trailers }) {
        // The other side's farewell, and no refusal, which has words.
        if (untouched && !hasContent) answer.failed({ error: new Error("it has ended the connection"), untouched });
        else answer.responded({ status, headers: goOn, body, trailers: () => trailersOf(trailers()), untouched });
      },
      failed(error, { connected }) {
        // Without a connection nothing was sent. A kept one that ends may have carried the request there.
        answer.failed({ error, untouched: !connected });
      },
    },
  );
  return cancel && { body: undefined, finish() {}, cancel };
}
