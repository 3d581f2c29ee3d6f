import type { Http1Client } from "@mecha/rpc";
import type { Answer, Outbound, OutboundRequest } from "./exchange.js";
import { endToEnd, trailersOf, untouchedHeader } from "./headers.js";

/** Whom a request goes to. */
export interface WholeDestination {
  readonly client: Http1Client;
  readonly host: string;
  /** Whether it is a runtime, which says whether its app did something with the request. */
  readonly isRuntime: boolean;
}

/** Sends a request that is whole over HTTP/1.1; undefined if it is not, or if no connection is free. */
export function sendWhole(
  { client, host, isRuntime }: WholeDestination,
  { method, target, headers, whole, awaitsContinue }: OutboundRequest,
  answer: Answer,
): Outbound | undefined {
  if (whole === undefined || awaitsContinue || method === "CONNECT") return undefined;
  const cancel = client.send(
    { method, target, host, headers, body: whole },
    {
      information: (status, found) => answer.information(status, endToEnd(found)),
      responded({ status, headers: found, body, trailers }) {
        answer.responded({
          status,
          headers: endToEnd(found),
          body,
          trailers: () => trailersOf(trailers()),
          untouched: isRuntime && found[untouchedHeader] !== undefined,
        });
      },
      failed(error, { connected }) {
        // Without a connection nothing was sent. A kept one that ends may have carried the request there.
        answer.failed({ error, untouched: !connected });
      },
    },
  );
  return cancel && { body: undefined, finish() {}, cancel };
}
