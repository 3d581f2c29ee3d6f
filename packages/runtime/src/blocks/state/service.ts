import { create } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import {
  type DeleteResponse,
  GetManyResponseSchema,
  type GetResponse,
  ListResponseSchema,
  type SetResponse,
  type StateService,
  TransactResponseSchema,
  type WatchRequest,
} from "@mecha/api/state";
import type { Awaitable, StateOperation, StatePublish, StateRequestId, StateResult } from "@mecha/component";
import { stateLimits } from "@mecha/component";
import type { Binding } from "../../components/registry.js";
import { readTraceparent } from "../../telemetry/trace-context.js";
import type { BlockContext } from "../block.js";
import { openToken, sealToken, tokenScope } from "../tokens.js";
import { badRequest, checkPageSize, requireFeature, Violations } from "../validation.js";
import {
  toDeleteResponse,
  toGetResponse,
  toItem,
  toOperationResults,
  toSetResponse,
  toWatchResponse,
} from "./convert.js";
import { toRequestId } from "./fingerprint.js";
import { createOutboxMethods } from "./outbox.js";
import { bytesOf, checkPublishes, renumber, requireOutbox, routePublishes } from "./publishes.js";
import { GetCall, WriteCall } from "./store-call.js";
import {
  checkKey,
  checkKeys,
  checkPrefix,
  checkRequestId,
  checkSizes,
  readTransaction,
  toDelete,
  toSet,
} from "./validate.js";

/** What a call needs of its context; the plain-HTTP doors have no more. */
export type CallContext = Pick<HandlerContext, "signal">;

/**
 * The state block: checks a request, finds its component, applies the app's keyspace. What a store answers at once is answered at once:
 * nothing here makes a call wait for a turn of the event loop that its store does not.
 */
export function createStateService(blockContext: BlockContext) {
  const { registry } = blockContext;
  const use = (store: string) => registry.use("state", store);
  return {
    get(request, context: CallContext): Awaitable<GetResponse> {
      checkKey("key", request.key);
      const { live, serve, keyspace } = use(request.store);
      const found = serve.get(new GetCall(keyspace, context, request.key));
      return found instanceof Promise ? live.track(found).then(toGetResponse) : toGetResponse(found);
    },

    async getMany(request, context: CallContext) {
      const keys = checkKeys("keys", request.keys);
      const { live, serve, keyspace } = use(request.store);
      const maxBytes = stateLimits.maxGetManyBytes;
      const found = serve.getMany({ keyspace, keys, maxBytes, signal: context.signal });
      const items = found instanceof Promise ? await live.track(found) : found;
      return create(GetManyResponseSchema, { items: items.map(toItem) });
    },

    set(request, context: CallContext): Awaitable<SetResponse> {
      const violations = new Violations();
      const operations = [toSet(request, "", violations)];
      checkRequestId(request.requestId, violations);
      violations.throwIfAny();
      checkSizes(operations);
      const requestId = toRequestId(request.requestId, "Set", operations);
      const results = write(use(request.store), { operations, publishes: [], requestId }, context);
      return results instanceof Promise ? results.then(firstSet) : firstSet(results);
    },

    delete(request, context: CallContext): Awaitable<DeleteResponse> {
      const violations = new Violations();
      const operations = [toDelete(request, "", violations)];
      checkRequestId(request.requestId, violations);
      violations.throwIfAny();
      checkSizes(operations);
      const requestId = toRequestId(request.requestId, "Delete", operations);
      const results = write(use(request.store), { operations, publishes: [], requestId }, context);
      return results instanceof Promise ? results.then(firstDelete) : firstDelete(results);
    },

    async transact(request, context: CallContext & Pick<HandlerContext, "requestHeader">) {
      const violations = new Violations();
      const asked = readTransaction(request.operations, violations);
      checkRequestId(request.requestId, violations);
      const traceparent = asked.publishes.length > 0 ? readTraceparent(context) : undefined;
      const checked = checkPublishes(asked.publishes, request.requestId, traceparent, blockContext, violations);
      violations.throwIfAny();
      const store = use(request.store);
      requireFeature(store.serve.features, "TRANSACT", "state", store.live.plan.name);
      if (checked.length > 0) requireOutbox(store, registry);
      checkSizes(asked.operations, bytesOf(checked));
      const requestId = toRequestId(request.requestId, "Transact", asked.operations, asked.publishes);
      const routed = await routePublishes(store, checked, blockContext);
      try {
        const results = await write(store, { ...asked, publishes: routed.publishes, requestId }, context);
        return create(TransactResponseSchema, { results: toOperationResults(results, asked.indexes, checked) });
      } catch (error) {
        throw checked.length > 0 ? renumber(error, asked.indexes, checked) : error;
      } finally {
        routed.leave();
      }
    },

    async list(request, context: CallContext) {
      const { prefix, keysOnly, pageToken } = request;
      checkPrefix("prefix", prefix);
      const limit = checkPageSize("page_size", request.pageSize);
      const { live, serve, keyspace } = use(request.store);
      const scope = tokenScope("list", live.plan.name, keyspace, prefix);
      const after = pageToken === "" ? undefined : openToken(scope, "page_token", pageToken);
      const maxBytes = stateLimits.maxPageBytes;
      const found = serve.list({ keyspace, prefix, after, limit, maxBytes, keysOnly, signal: context.signal });
      const { items, more } = found instanceof Promise ? await live.track(found) : found;
      const last = items.at(-1);
      const nextPageToken = more && last !== undefined ? sealToken(scope, last.key) : "";
      return create(ListResponseSchema, { items: items.map(toItem), nextPageToken });
    },

    async *watch(request, context: CallContext) {
      const target = toTarget(request.target);
      const { live, serve, keyspace } = use(request.store);
      const { name } = live.plan;
      requireFeature(serve.features, "WATCH", "state", name);
      const scope = tokenScope(
        "watch",
        name,
        keyspace,
        ...("key" in target ? ["key", target.key] : ["prefix", target.prefix]),
      );
      const resumeToken =
        request.resumeToken === "" ? undefined : openToken(scope, "resume_token", request.resumeToken);
      const signal = AbortSignal.any([context.signal, live.retired]);
      signal.throwIfAborted();
      const leave = live.enter();
      try {
        for await (const changes of serve.watch({ keyspace, target, resumeToken, signal })) {
          for (const change of changes) yield toWatchResponse(change, sealToken(scope, change.resumeToken));
        }
      } catch (error) {
        signal.throwIfAborted();
        throw error;
      } finally {
        leave();
      }
      // A store's watch ends only because it was told to: the caller must hear why.
      signal.throwIfAborted();
      throw new Error(`the watch of component "${name}" ended by itself`);
    },

    ...createOutboxMethods(registry),
  } satisfies ServiceImpl<typeof StateService>;
}

/** The state service, as the plain-HTTP doors call it. */
export type StateServiceImpl = ReturnType<typeof createStateService>;

/** What a call writes. */
interface Write {
  readonly operations: readonly StateOperation[];
  readonly publishes: readonly StatePublish[];
  readonly requestId: StateRequestId | undefined;
}

function write(
  { live, serve, keyspace }: Binding<"state">,
  { operations, publishes, requestId }: Write,
  context: CallContext,
): Awaitable<StateResult[]> {
  if (operations.some((operation) => operation.type === "set" && operation.ttlMs !== undefined)) {
    requireFeature(serve.features, "TTL", "state", live.plan.name);
  }
  const results = serve.write(new WriteCall(keyspace, context, operations, publishes, requestId));
  return results instanceof Promise ? live.track(results) : results;
}

function firstSet([result]: readonly StateResult[]): SetResponse {
  if (result?.type !== "set") throw new Error("the store answered a set with something else");
  return toSetResponse(result.etag);
}

function firstDelete([result]: readonly StateResult[]): DeleteResponse {
  if (result?.type !== "delete") throw new Error("the store answered a delete with something else");
  return toDeleteResponse(result.existed);
}

function toTarget(target: WatchRequest["target"]): { readonly key: string } | { readonly prefix: string } {
  if (target.case === "key") {
    checkKey("key", target.value);
    return { key: target.value };
  }
  if (target.case === "prefix") {
    checkPrefix("prefix", target.value);
    return { prefix: target.value };
  }
  throw badRequest([{ field: "target", description: "is none of key and prefix; exactly one must be set" }]);
}
