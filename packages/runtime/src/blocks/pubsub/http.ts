import { create, type MessageInitShape, toJson } from "@bufbuild/protobuf";
import {
  type Event,
  type PublishEntry,
  PublishEntrySchema,
  PublishManyRequestSchema,
  PublishManyResponseSchema,
  PublishRequestSchema,
  PublishResponseSchema,
} from "@mecha/api/pubsub";
import { ComponentError, pubsubLimits, type Reason } from "@mecha/component";
import { partitionKey } from "../../cloudevents/attributes.js";
import { readEvents } from "../../cloudevents/read.js";
import {
  abortOnClose,
  type HttpRequest,
  type HttpResponse,
  readBody,
  send,
  sendError,
  sendJson,
} from "../../server/http.js";
import { fromComponentError } from "../../telemetry/errors.js";
import type { Door } from "../block.js";
import { parseDurationHeader } from "../duration-header.js";
import { badRequest } from "../validation.js";
import { tooLargeError } from "./entry.js";
import type { PubSubServiceImpl } from "./service.js";

const prefix = "/publish/";

/** The largest body: a batch of the most that may be published at once, whose data is base64. */
const maxBodyBytes = Math.ceil(pubsubLimits.maxPublishBytes * 1.5);

/** `POST /publish/<topic>[?pubsub=name]`: publishing for whatever speaks plain HTTP, as CloudEvents or as any body. */
export function createPublishDoor(service: PubSubServiceImpl): Door {
  return {
    prefix,
    async handle(request, response) {
      if (request.method !== "POST") {
        send(response, 405, { allow: "POST" });
        return;
      }
      const { pubsub, topic } = target(request);
      const options = readOptions(request);
      const body = await readBody(request, maxBodyBytes, (actual) =>
        tooLargeError("the body is", maxBodyBytes, actual),
      );
      const events = readEvents(request.headers, body);
      const context = callContext(request, response);
      if (!Array.isArray(events)) {
        const entry = toEntry(topic, events, options);
        const message = create(PublishRequestSchema, { pubsub, entry, requestId: options.requestId });
        const published = create(PublishResponseSchema, await service.publish(message, context));
        sendJson(response, 200, toJson(PublishResponseSchema, published, { alwaysEmitImplicit: true }));
        return;
      }
      if (options.requestId !== "") {
        throw badRequest([
          { field: "mecha-request-id", description: "is for one event; give the events of a batch ids of their own" },
        ]);
      }
      const entries = events.map((event) => toEntry(topic, event, options));
      const message = create(PublishManyRequestSchema, { pubsub, entries });
      await answerMany(response, create(PublishManyResponseSchema, await service.publishMany(message, context)));
    },
  };
}

/** Every event is told of. A batch that is not published whole is an error, so that nobody who looks at the status alone takes it for one that is. */
async function answerMany(
  response: HttpResponse,
  answer: ReturnType<typeof create<typeof PublishManyResponseSchema>>,
): Promise<void> {
  const json = toJson(PublishManyResponseSchema, answer, { alwaysEmitImplicit: true }) as object;
  const failed = answer.results.flatMap(({ result }) => (result.case === "error" ? [result.value] : []));
  const [first] = failed;
  if (first === undefined) return sendJson(response, 200, json);
  const message = `${failed.length} of ${answer.results.length} events were not published, each for its reason in results; the first: ${first.message}`;
  const error = fromComponentError(new ComponentError(first.reason as Reason, message));
  await sendError(response, error, { more: json });
}

/** The topic is the path after the prefix; the component is in the query. */
function target(request: HttpRequest): { pubsub: string; topic: string } {
  const [path = "", query = ""] = (request.url ?? "").split("?", 2);
  try {
    return {
      pubsub: new URLSearchParams(query).get("pubsub") ?? "",
      topic: decodeURIComponent(path.slice(prefix.length)),
    };
  } catch {
    throw badRequest([{ field: "topic", description: "is not percent-encoded UTF-8" }]);
  }
}

/** How to publish, whatever is published. */
interface PublishOptions extends Pick<MessageInitShape<typeof PublishEntrySchema>, "delay" | "ttl"> {
  readonly orderingKey: string;
  readonly requestId: string;
}

function readOptions(request: HttpRequest): PublishOptions {
  if (request.headers["content-encoding"] !== undefined) {
    throw badRequest([{ field: "content-encoding", description: "is not kept; send the event as it is" }]);
  }
  const delay = parseDurationHeader(request, "mecha-delay");
  const ttl = parseDurationHeader(request, "mecha-ttl");
  return {
    orderingKey: String(request.headers["mecha-ordering-key"] ?? ""),
    requestId: String(request.headers["mecha-request-id"] ?? ""),
    ...(delay && { delay }),
    ...(ttl && { ttl }),
  };
}

/** An event's own partition key is its ordering key: CloudEvents' word for it. */
function toEntry(topic: string, event: Event, { delay, ttl, orderingKey }: PublishOptions): PublishEntry {
  const own = event.extensions[partitionKey] ?? "";
  if (own !== "" && orderingKey !== "" && own !== orderingKey) {
    const description = `is "${orderingKey}", but the event's ${partitionKey} is "${own}"; leave one of them out`;
    throw badRequest([{ field: "mecha-ordering-key", description }]);
  }
  return create(PublishEntrySchema, {
    topic,
    event,
    orderingKey: orderingKey || own,
    ...(delay && { delay }),
    ...(ttl && { ttl }),
  });
}

/** What the service asks of a call. */
function callContext(request: HttpRequest, response: HttpResponse) {
  const { traceparent } = request.headers;
  return {
    signal: abortOnClose(response),
    requestHeader: new Headers(typeof traceparent === "string" ? { traceparent } : {}),
  };
}
