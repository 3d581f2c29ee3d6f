import { hash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import {
  type DeadLetterSelection,
  DeadLetterSelectionSchema,
  type Open,
  type PublishResult,
  PublishResultSchema,
  type PubSubService,
} from "@mecha/api/pubsub";
import { type PublishOutcome, type PubSubEntry, pubsubLimits, setFaultyAside } from "@mecha/component";
import type { Binding } from "../../components/registry.js";
import { createPuller } from "../../delivery/puller.js";
import { readProlong, readSettle, toResults } from "../../delivery/settlements.js";
import { serveStream } from "../../delivery/stream.js";
import { readTraceparent } from "../../telemetry/trace-context.js";
import type { BlockContext } from "../block.js";
import { openToken, sealToken, tokenScope } from "../tokens.js";
import { badRequest, checkBytes, checkPageSize, requireFeature, Violations } from "../validation.js";
import { toDeadLetter, toSettingsMessage } from "./convert.js";
import { readEntries, readEntry, sizeFault, tooLargeError } from "./entry.js";
import { createGroups } from "./group.js";
import { deliveriesOf, pull } from "./pull.js";
import { openSubscription } from "./subscription.js";
import { toDeadLetterIds } from "./validate.js";

type CallContext = Pick<HandlerContext, "signal" | "requestHeader">;

const { maxEntries, maxPublishBytes, maxPageBytes } = pubsubLimits;

/** The pubsub block: checks a request, finds its component, and lets the delivery engine move what flows to the app. */
export function createPubSubService({
  registry,
  identity,
  clock,
  logger,
  health,
  deliveries: telemetry,
}: BlockContext) {
  const { namespace, appId } = identity;
  const groups = createGroups(registry, identity, (error) =>
    logger.debug({ error: error.message }, "a filter failed on an event"),
  );
  const onSourceError = (err: unknown) => logger.warn({ err }, "events cannot be taken or settled now; trying again");
  const puller = createPuller(clock, onSourceError);
  const subscription = { groups, clock, deliveries: telemetry, onSourceError };

  const publish = async (binding: Binding<"pubsub">, entries: readonly PubSubEntry[], { signal }: CallContext) => {
    const { live, serve } = binding;
    const outcomes = serve.publish({ keyspace: namespace, entries, signal });
    return outcomes instanceof Promise ? live.track(outcomes) : outcomes;
  };

  /** Which dead letters a call is about. */
  const select = (selection: DeadLetterSelection = create(DeadLetterSelectionSchema)) => {
    const violations = new Violations();
    const ids = toDeadLetterIds(selection, violations);
    violations.throwIfAny();
    const { binding, call } = groups.find(selection.pubsub, selection.topic, selection.group, "selection.");
    return { binding, call: { ...call, ids } };
  };

  return {
    async publish(request, context: CallContext) {
      const binding = registry.use("pubsub", request.pubsub);
      const violations = new Violations();
      checkBytes("request_id", request.requestId, 128, violations);
      if (request.entry === undefined) violations.add("entry", "is missing");
      violations.throwIfAny();
      if (request.requestId !== "") requireFeature(binding.serve.features, "DEDUP", "pubsub", binding.live.plan.name);
      const traceparent = readTraceparent(context);
      const id = request.requestId === "" ? undefined : eventIdOf(appId, request.requestId);
      const asked = { binding, identity, now: clock.now(), id, traceparent };
      const read = request.entry && readEntry(request.entry, "entry.", asked, violations);
      violations.throwIfAny();
      if (read === undefined) throw badRequest([{ field: "entry", description: "is missing" }]);
      const { entry } = read;
      const tooLarge = sizeFault(entry, binding);
      if (tooLarge !== undefined) throw tooLarge;
      const [outcome] = await publish(binding, [entry], context);
      if (outcome === undefined) throw new Error("the component answered a publish with nothing");
      if (outcome.type === "failed") throw outcome.error;
      return { eventId: entry.id, duplicate: outcome.duplicate };
    },

    async publishMany(request, context: CallContext) {
      const binding = registry.use("pubsub", request.pubsub);
      const violations = new Violations();
      if (request.entries.length < 1 || request.entries.length > maxEntries) {
        violations.add("entries", `has ${request.entries.length} entries; 1 to ${maxEntries} are allowed`);
      }
      violations.throwIfAny();
      const traceparent = readTraceparent(context);
      const entries = readEntries(request.entries, { binding, identity, now: clock.now(), id: undefined, traceparent });
      const total = entries.reduce((sum, { payload }) => sum + payload.byteLength, 0);
      if (total > maxPublishBytes) throw tooLargeError("the entries together are", maxPublishBytes, total);
      const { sound, merge } = setFaultyAside(entries, (entry) => sizeFault(entry, binding));
      const outcomes = merge(sound.length > 0 ? await publish(binding, sound, context) : []);
      return { results: outcomes.map((outcome, index) => toPublishResult(outcome, entries[index]?.id ?? "")) };
    },

    subscribe: (requests, { signal }: CallContext) =>
      serveStream(requests, signal, health, (open: Open) => openSubscription(open, signal, subscription)),

    async pull(request, { signal }: CallContext) {
      if (request.open === undefined) throw badRequest([{ field: "open", description: "is missing" }]);
      if (request.open.ephemeral) {
        const description = "is for streams: no call would end the group; open one with a name, or a stream";
        throw badRequest([{ field: "open.ephemeral", description }]);
      }
      const group = await groups.open(request.open, signal);
      const deliveries = await group.binding.live.track(pull(puller, request, group, telemetry, signal));
      return { deliveries, settings: toSettingsMessage(group.settings) };
    },

    async ack({ pubsub, settle }) {
      const { ids, disposition } = readSettle(settle);
      const binding = registry.use("pubsub", pubsub);
      const counted = await binding.live.track(
        puller.settle(ids, deliveriesOf(groups, binding, telemetry), disposition),
      );
      return { results: toResults(ids, counted) };
    },

    async extend({ pubsub, prolong }) {
      const { ids, timeoutMs } = readProlong(prolong);
      const binding = registry.use("pubsub", pubsub);
      const counted = await binding.live.track(puller.extend(ids, deliveriesOf(groups, binding, telemetry), timeoutMs));
      return { results: toResults(ids, counted) };
    },

    async listDeadLetters({ pubsub, topic, group, pageSize, pageToken }) {
      const limit = checkPageSize("page_size", pageSize);
      const { binding, call } = groups.find(pubsub, topic, group, "");
      const scope = tokenScope("dead-letters", binding.live.plan.name, call.keyspace, call.topic, call.group);
      const after = pageToken === "" ? undefined : openToken(scope, "page_token", pageToken);
      const { deadLetters, more } = await binding.serve.listDeadLetters({
        ...call,
        after,
        limit,
        maxBytes: maxPageBytes,
      });
      const last = deadLetters.at(-1);
      return {
        deadLetters: deadLetters.map((dead) => toDeadLetter(dead, topic)),
        nextPageToken: more && last !== undefined ? sealToken(scope, last.id) : "",
      };
    },

    async requeueDeadLetters({ selection }) {
      const { binding, call } = select(selection);
      return { count: BigInt(await binding.serve.requeueDeadLetters(call)) };
    },

    async dropDeadLetters({ selection }) {
      const { binding, call } = select(selection);
      return { count: BigInt(await binding.serve.dropDeadLetters(call)) };
    },
  } satisfies ServiceImpl<typeof PubSubService>;
}

/** The same request names the same event. */
const eventIdOf = (appId: string, requestId: string): string =>
  hash("sha256", `${appId} ${requestId}`, "hex").slice(0, 32);

function toPublishResult(outcome: PublishOutcome, eventId: string): PublishResult {
  if (outcome.type === "published") {
    const { duplicate } = outcome;
    return create(PublishResultSchema, { result: { case: "published", value: { eventId, duplicate } } });
  }
  const { reason, message } = outcome.error;
  return create(PublishResultSchema, { result: { case: "error", value: { reason, message } } });
}

/** What {@link createPubSubService} gives. */
export type PubSubServiceImpl = ReturnType<typeof createPubSubService>;
