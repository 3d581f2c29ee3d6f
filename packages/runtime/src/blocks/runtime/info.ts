import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type BlockSchema,
  type ComponentSchema,
  Durability,
  type GetInfoResponse,
  GetInfoResponseSchema,
  Health,
} from "@mecha/api/runtime";
import type { Binding } from "@mecha/component";
import type { LiveComponent } from "../../components/live.js";
import type { ComponentRegistry } from "../../components/registry.js";
import { durabilityOf, featuresOf } from "../../components/start.js";
import type { Backlog } from "../../outbox/outbox.js";
import { version } from "../../version.js";

/** What of a runtime does not change while it runs. */
export interface Identity {
  readonly namespace: string;
  readonly appId: string;
  /** Ms since the Unix epoch. */
  readonly startTime: number;
}

/** Describes the runtime; `backlogs` is what its components keep for others, `more` what runs beside them. */
export function describeRuntime(
  { namespace, appId, startTime }: Identity,
  registry: ComponentRegistry,
  backlogs: readonly Backlog[] = [],
  more: MessageInitShape<typeof GetInfoResponseSchema> = {},
): GetInfoResponse {
  return create(GetInfoResponseSchema, {
    version,
    namespace,
    appId,
    startTime: timestampFromMs(startTime),
    processId: BigInt(process.pid),
    components: [...registry.list()].sort(byName).map((live) => describeComponent(live, backlogs)),
    ...more,
  });
}

function describeComponent(
  { plan, component, health }: LiveComponent,
  backlogs: readonly Backlog[],
): MessageInitShape<typeof ComponentSchema> {
  return {
    name: plan.name,
    type: plan.definition.type,
    implicit: plan.implicit,
    health: health.healthy ? Health.HEALTHY : Health.UNHEALTHY,
    lastError: health.healthy ? "" : health.lastError,
    outboxes: backlogs
      .filter(({ store }) => store === plan.name)
      .map(({ pubsub, backlog }) => ({ pubsub, backlog: BigInt(backlog) })),
    blocks: plan.blocks.map((name) => ({
      name,
      features: [...featuresOf(component, name)],
      durability: Durability[durabilityOf(component, name) ?? "UNSPECIFIED"],
      default: plan.defaults.includes(name),
      ...(name === "binding" && component.blocks.binding && describeBinding(component.blocks.binding)),
    })),
  };
}

/** What a binding does, and what its events are. */
function describeBinding({ operations, input }: Binding): MessageInitShape<typeof BlockSchema> {
  return {
    operations: operations.map(({ name, description, parameters, input = "", output = "", results = [] }) => ({
      name,
      description,
      parameters: [...parameters],
      inputContentType: input,
      outputContentType: output,
      results: [...results],
    })),
    ...(input && {
      inputEvents: {
        description: input.description,
        contentType: input.contentType ?? "",
        metadata: [...input.metadata],
      },
    }),
  };
}

function byName(a: LiveComponent, b: LiveComponent): number {
  return a.plan.name < b.plan.name ? -1 : 1;
}
