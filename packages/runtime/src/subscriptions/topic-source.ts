import type { GroupCall, GroupSettings, GroupStart } from "@mecha/component";
import { readEvent } from "../blocks/pubsub/convert.js";
import { deliveryIdsOf } from "../blocks/pubsub/delivery-id.js";
import { compileFilter } from "../blocks/pubsub/filter.js";
import { defaultSettings } from "../blocks/pubsub/validate.js";
import { requireFeature } from "../blocks/validation.js";
import type { ComponentPlan } from "../config/component-plan.js";
import type { RelationContext } from "../config/kind.js";
import { problemOf } from "../config/resource.js";
import { didYouMean } from "../config/suggest.js";
import type { SubscriptionSpec } from "./resource.js";
import type { SourceKind } from "./sources.js";

/** A topic of a pubsub, for a group. */
export interface TopicPlan {
  readonly type: "topic";
  /** The component; empty: the default one. */
  readonly pubsub: string;
  readonly topic: string;
  /** Empty: the app id. */
  readonly group: string;
  readonly settings: GroupSettings;
}

export function planTopic(spec: SubscriptionSpec): TopicPlan {
  const { pubsub = "", topic = "", group = "" } = spec;
  return { type: "topic", pubsub, topic, group, settings: planSettings(spec) };
}

/** How events are delivered, wherever they come from. */
export function planSettings(spec: SubscriptionSpec): GroupSettings {
  const { retry, filter = "", ordered = false, start = "new" } = spec;
  const minBackoffMs = retry?.minBackoff ?? defaultSettings.minBackoffMs;
  return {
    filter,
    ordered,
    start: toStart(start),
    maxAttempts: retry?.maxAttempts ?? defaultSettings.maxAttempts,
    minBackoffMs,
    maxBackoffMs: retry?.maxBackoff ?? Math.max(defaultSettings.maxBackoffMs, minBackoffMs),
    ackTimeoutMs: spec.ackTimeout ?? defaultSettings.ackTimeoutMs,
  };
}

function toStart(start: string): GroupStart {
  if (start === "new" || start === "earliest") return { type: start };
  return { type: "time", time: Date.parse(start) };
}

/** Events of a topic. */
export const topicSource: SourceKind<TopicPlan> = {
  check(plan, { pubsub, settings }, context) {
    const add = (message: string, ...path: PropertyKey[]) =>
      context.problems.push(problemOf(plan, message, ["spec", ...path]));
    const serving = context.components.filter(({ blocks }) => blocks.includes("pubsub"));
    const component = componentOf(pubsub, context);
    if (component === undefined) {
      const names = serving.map(({ name }) => name);
      const hint = didYouMean(pubsub, names) || `; block "pubsub" is served by: ${names.join(", ") || "none"}`;
      // Several without a default are told where they stand.
      if (pubsub !== "") add(`there is no component "${pubsub}"${hint}`, "pubsub");
      else if (serving.length === 0) add('no component serves block "pubsub"; add one to the resources', "topic");
      return;
    }
    const { name, definition } = component;
    if (!serving.includes(component)) {
      add(`component "${name}" does not serve block "pubsub"; it serves: ${component.blocks.join(", ")}`, "pubsub");
      return;
    }
    const { features = [] } = definition.serves.pubsub ?? {};
    const lacks = (feature: "ORDERED" | "REPLAY") => !features.includes(feature);
    const has = `it has: ${features.join(", ") || "none"}`;
    if (settings.ordered && lacks("ORDERED")) {
      add(`component "${name}" (${definition.type}) has no feature ORDERED; ${has}`, "ordered");
    }
    if (settings.start.type !== "new" && lacks("REPLAY")) {
      add(
        `component "${name}" (${definition.type}) has no feature REPLAY: a group can only start: new; ${has}`,
        "start",
      );
    }
  },

  describe({ pubsub, topic, group }, context) {
    const component = componentOf(pubsub, context)?.name ?? pubsub;
    return `group "${group || context.appId}" of topic "${topic}" (component "${component}")`;
  },

  async open({ pubsub, topic, group, settings }, { registry, identity, logger }) {
    const { namespace, appId } = identity;
    const { live, serve } = registry.use("pubsub", pubsub);
    if (settings.ordered) requireFeature(serve.features, "ORDERED", "pubsub", live.plan.name);
    if (settings.start.type !== "new") requireFeature(serve.features, "REPLAY", "pubsub", live.plan.name);
    const call: GroupCall = { keyspace: namespace, topic, group: `${appId}/${group || appId}` };
    const wants = await compileFilter(settings.filter, (error) =>
      logger.debug({ topic, error: error.message }, "a filter failed on an event"),
    );
    // What the resource says is what counts, whatever the group had before.
    const opening = serve.openGroup({ ...call, settings, defaults: settings, update: true });
    await live.track(Promise.resolve(opening));
    return {
      live,
      settings,
      items: serve.consume(call),
      idOf: deliveryIdsOf(call.topic, call.group),
      read(payload) {
        const event = readEvent(payload);
        return wants(event) ? event : undefined;
      },
    };
  },

  remedy: "give one another group",

  info: ({ topic, group }, appId) => ({ topic, group: group || appId }),
};

function componentOf(pubsub: string, { components }: Pick<RelationContext, "components">): ComponentPlan | undefined {
  if (pubsub === "") return components.find(({ defaults }) => defaults.includes("pubsub"));
  return components.find(({ name }) => name === pubsub);
}
