import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type OutboxDeadLetter,
  OutboxDeadLetterSchema,
  type OutboxDeadLetterSelection,
  OutboxDeadLetterSelectionSchema,
  type StateService,
} from "@mecha/api/state";
import { type DeadLetter, pubsubLimits } from "@mecha/component";
import type { ComponentRegistry } from "../../components/registry.js";
import { readRecord } from "../../outbox/record.js";
import { type Route, routeOf } from "../../outbox/route.js";
import { toDeadLetterIds } from "../pubsub/validate.js";
import { toTimestamp } from "../time.js";
import { openToken, sealToken, tokenScope } from "../tokens.js";
import { badRequest, checkPageSize, Violations } from "../validation.js";
import { requireOutbox } from "./publishes.js";

/** The methods about what another pubsub has refused of an outbox. */
export function createOutboxMethods(registry: ComponentRegistry) {
  /** The way that a request names. */
  const find = (storeName: string, pubsubName: string, path: string): Route => {
    const store = registry.use("state", storeName);
    requireOutbox(store, registry);
    const target = registry.use("pubsub", pubsubName).live.plan.name;
    if (target !== store.live.plan.name) return routeOf(store, target);
    const description = `is "${target}", which keeps the state too: what it publishes in its own transactions waits for nobody`;
    throw badRequest([{ field: `${path}pubsub`, description }]);
  };

  const select = (selection: OutboxDeadLetterSelection = create(OutboxDeadLetterSelectionSchema)) => {
    const violations = new Violations();
    const ids = toDeadLetterIds(selection, violations);
    violations.throwIfAny();
    const { store, pubsub, call } = find(selection.store, selection.pubsub, "selection.");
    return { live: store.live, pubsub, call: { ...call, ids } };
  };

  return {
    async listOutboxDeadLetters({ store, pubsub, pageSize, pageToken }) {
      const limit = checkPageSize("page_size", pageSize);
      const route = find(store, pubsub, "");
      const { live } = route.store;
      const scope = tokenScope("outbox", live.plan.name, route.call.keyspace, route.call.topic);
      const after = pageToken === "" ? undefined : openToken(scope, "page_token", pageToken);
      const { maxPageBytes: maxBytes } = pubsubLimits;
      const listed = route.pubsub.listDeadLetters({ ...route.call, after, limit, maxBytes });
      const { deadLetters, more } = await live.track(Promise.resolve(listed));
      const last = deadLetters.at(-1);
      return {
        deadLetters: deadLetters.map(toDeadLetter),
        nextPageToken: more && last !== undefined ? sealToken(scope, last.id) : "",
      };
    },

    async requeueOutboxDeadLetters({ selection }) {
      const { live, pubsub, call } = select(selection);
      return { count: BigInt(await live.track(Promise.resolve(pubsub.requeueDeadLetters(call)))) };
    },

    async dropOutboxDeadLetters({ selection }) {
      const { live, pubsub, call } = select(selection);
      return { count: BigInt(await live.track(Promise.resolve(pubsub.dropDeadLetters(call)))) };
    },
  } satisfies Partial<ServiceImpl<typeof StateService>>;
}

function toDeadLetter({ id, payload, lastError, time }: DeadLetter): OutboxDeadLetter {
  const letter = create(OutboxDeadLetterSchema, { deadLetterId: id, error: lastError, time: toTimestamp(time) });
  try {
    const { entry, commitTime } = readRecord(payload);
    return { ...letter, entry, commitTime: toTimestamp(commitTime) };
  } catch {
    // It became a dead letter because it cannot be read: it is told by its handle and error.
    return letter;
  }
}
