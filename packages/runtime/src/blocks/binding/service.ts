import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import {
  type BindingService,
  type InputEvent,
  type Open,
  type SubscribeResponse,
  SubscribeResponseSchema,
} from "@mecha/api/binding";
import { type BindingData, bindingLimits, ComponentError, checkInvocation } from "@mecha/component";
import type { Binding } from "../../components/registry.js";
import { createPuller, type FindDelivery } from "../../delivery/puller.js";
import { readProlong, readSettle, toResults } from "../../delivery/settlements.js";
import { type OpenStream, serveStream } from "../../delivery/stream.js";
import { toCredit, toPolicy, toPolicyMessage, toPullLimits } from "../../delivery/terms.js";
import type { BlockContext } from "../block.js";
import { badRequest, requireFeature, Violations } from "../validation.js";
import { deliveryIdsOf, parseDeliveryId } from "./delivery-id.js";
import { consumeInput, logGivenUp, readInputEvent, tellOfInput, toDelivery } from "./source.js";

type CallContext = Pick<HandlerContext, "signal">;

/** The binding block: checks a call against what its component describes, and lets the delivery engine move what flows to the app. */
export function createBindingService({ registry, clock, logger, health, deliveries: telemetry }: BlockContext) {
  const onSourceError = (err: unknown) => logger.warn({ err }, "events cannot be taken or settled now; trying again");
  const onGivenUp = logGivenUp(logger);
  const puller = createPuller(clock, onSourceError);

  const sourceOf = (binding: Binding<"binding">) => ({
    live: binding.live,
    id: binding.keyspace,
    consume: () => consumeInput(binding, onGivenUp),
    record: telemetry.of("binding", binding.live.plan.name),
  });

  const open = async (request: Open): Promise<OpenStream<InputEvent, SubscribeResponse>> => {
    const binding = registry.use("binding", request.binding);
    const violations = new Violations();
    const credit = toCredit(request, violations);
    const policy = toPolicy(request, "open.", violations);
    violations.throwIfAny();
    return {
      live: binding.live,
      source: consumeInput(binding, onGivenUp),
      policy,
      credit,
      clock,
      idOf: deliveryIdsOf(policy),
      read: readInputEvent,
      onSourceError,
      recorded: { record: telemetry.of("binding", binding.live.plan.name), tell: tellOfInput },
      opened: respond({ case: "opened", value: toPolicyMessage(policy) }),
      deliveries: (taken) => respond({ case: "deliveries", value: { deliveries: taken.map(toDelivery) } }),
      ackResult: (results) => respond({ case: "ackResult", value: { results } }),
      draining: () => respond({ case: "draining", value: {} }),
    };
  };

  /** Finds what delivery ids of a binding name. */
  const deliveriesOf = (binding: Binding<"binding">): FindDelivery => {
    requireFeature(binding.serve.features, "INPUT", "binding", binding.live.plan.name);
    const source = sourceOf(binding);
    return (id) => {
      const delivery = parseDeliveryId(id);
      return delivery && { ...delivery, source };
    };
  };

  return {
    async invoke({ binding: name, operation, data, contentType, metadata }, { signal }: CallContext) {
      const { live, serve, keyspace } = registry.use("binding", name);
      const component = live.plan.name;
      requireFeature(serve.features, "OUTPUT", "binding", component);
      const call = { operation, data, contentType, metadata };
      checkInvocation(serve, call, component);
      if (serve.invoke === undefined) throw new Error(`binding "${component}" has OUTPUT and no invoke`);
      const answer = await live.track(Promise.resolve(serve.invoke({ ...call, keyspace, signal })));
      requireFits(answer, operation);
      return { data: answer.data, contentType: answer.contentType, metadata: { ...answer.metadata } };
    },

    subscribe: (requests, { signal }: CallContext) => serveStream(requests, signal, health, open),

    async pull(request, { signal }: CallContext) {
      if (request.open === undefined) throw badRequest([{ field: "open", description: "is missing" }]);
      const binding = registry.use("binding", request.open.binding);
      const violations = new Violations();
      const limits = toPullLimits(request, violations);
      const policy = toPolicy(request.open, "open.", violations);
      violations.throwIfAny();
      const source = sourceOf(binding);
      const call = {
        ...limits,
        source,
        policy,
        signal,
        idOf: deliveryIdsOf(policy),
        read: readInputEvent,
        tell: tellOfInput,
      };
      return { deliveries: (await binding.live.track(puller.pull(call))).map(toDelivery) };
    },

    async ack({ binding: name, settle }) {
      const { ids, disposition } = readSettle(settle);
      const binding = registry.use("binding", name);
      const counted = await binding.live.track(puller.settle(ids, deliveriesOf(binding), disposition));
      return { results: toResults(ids, counted) };
    },

    async extend({ binding: name, prolong }) {
      const { ids, timeoutMs } = readProlong(prolong);
      const binding = registry.use("binding", name);
      const counted = await binding.live.track(puller.extend(ids, deliveriesOf(binding), timeoutMs));
      return { results: toResults(ids, counted) };
    },
  } satisfies ServiceImpl<typeof BindingService>;
}

/** An answer that no caller may be sent is told apart from an operation that was not done. */
function requireFits({ data }: BindingData, operation: string): void {
  const limit = bindingLimits.maxDataBytes;
  if (data.byteLength <= limit) return;
  const message = `operation "${operation}" was done, but its answer is ${data.byteLength} bytes; the limit is ${limit}`;
  const metadata = { limit_bytes: String(limit), actual_bytes: String(data.byteLength), done: "true" };
  throw new ComponentError("TOO_LARGE", message, { metadata });
}

function respond(message: NonNullable<MessageInitShape<typeof SubscribeResponseSchema>["message"]>): SubscribeResponse {
  return create(SubscribeResponseSchema, { message });
}
