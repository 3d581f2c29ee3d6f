import { create } from "@bufbuild/protobuf";
import type { InputEvent } from "@mecha/api/binding";
import { type Event, EventSchema } from "@mecha/api/pubsub";
import type { GroupSettings } from "@mecha/component";
import { deliveryIdsOf } from "../blocks/binding/delivery-id.js";
import { consumeInput, logGivenUp, readInputEvent } from "../blocks/binding/source.js";
import { ownAttributes } from "../blocks/pubsub/event.js";
import { compileFilter } from "../blocks/pubsub/filter.js";
import { problemOf } from "../config/resource.js";
import { didYouMean } from "../config/suggest.js";
import type { SubscriptionSpec } from "./resource.js";
import type { SourceKind } from "./sources.js";
import { planSettings } from "./topic-source.js";

/** The input events of a binding. */
export interface BindingPlan {
  readonly type: "binding";
  /** The component. */
  readonly binding: string;
  readonly settings: GroupSettings;
}

export function planBinding(spec: SubscriptionSpec, binding: string): BindingPlan {
  return { type: "binding", binding, settings: planSettings(spec) };
}

/** Events of a binding, posted as CloudEvents: its source is the component, its type says so, its metadata are extensions. */
export const bindingSource: SourceKind<BindingPlan> = {
  check(plan, { binding }, { components, problems }) {
    const able = components.filter(({ definition, blocks }) => {
      return blocks.includes("binding") && definition.serves.binding?.features.includes("INPUT");
    });
    if (able.some(({ name }) => name === binding)) return;
    const names = able.map(({ name }) => name);
    const hint = didYouMean(binding, names) || `; there are: ${names.join(", ") || "none"}`;
    problems.push(problemOf(plan, `there is no binding "${binding}" that has events${hint}`, ["spec", "binding"]));
  },

  describe: ({ binding }) => `the events of binding "${binding}"`,

  remedy: "remove one, or let one post to both",

  async open({ binding, settings }, { registry, identity, logger }) {
    const used = registry.use("binding", binding);
    const wants = await compileFilter(settings.filter, (error) =>
      logger.debug({ binding, error: error.message }, "a filter failed on an event"),
    );
    const { name, definition } = used.live.plan;
    const source = `/ns/${identity.namespace}/binding/${name}`;
    return {
      live: used.live,
      settings,
      items: consumeInput(used, logGivenUp(logger)),
      idOf: deliveryIdsOf(settings),
      read(payload) {
        const event = toCloudEvent(readInputEvent(payload), source, `mecha.binding.${definition.type}`);
        return wants(event) ? event : undefined;
      },
    };
  },

  info: () => ({ topic: "", group: "" }),
};

function toCloudEvent({ id, time, data, contentType, metadata }: InputEvent, source: string, type: string): Event {
  const extensions: Record<string, string> = {};
  for (const [key, value] of Object.entries(metadata)) {
    const name = toExtensionName(key);
    if (name !== "") extensions[name] = value;
  }
  return create(EventSchema, {
    id,
    source,
    type,
    data,
    dataContentType: contentType,
    extensions,
    ...(time && { time }),
  });
}

/** A key as CloudEvents writes one: "timeZone" is "timezone", "header.x-github-event" is "headerxgithubevent". */
function toExtensionName(key: string): string {
  const name = key
    .toLowerCase()
    .replaceAll(/[^a-z0-9]/g, "")
    .slice(0, 20);
  return ownAttributes.has(name) ? `mecha${name}` : name;
}
