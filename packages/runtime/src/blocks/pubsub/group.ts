import { randomUUID } from "node:crypto";
import type { Open } from "@mecha/api/pubsub";
import type { GroupCall, GroupSettings } from "@mecha/component";
import type { Binding, ComponentRegistry } from "../../components/registry.js";
import type { Identity } from "../runtime/info.js";
import { requireFeature, Violations } from "../validation.js";
import { compileFilter, type Filter } from "./filter.js";
import { checkName, defaultSettings, toSettings } from "./validate.js";

/** A group that was opened: its component, and what is in effect. */
export interface OpenGroup {
  readonly binding: Binding<"pubsub">;
  readonly call: GroupCall;
  readonly settings: GroupSettings;
  readonly wants: Filter;
}

/** Finds groups for an app: names are the app's own, and no app reaches another's. */
export function createGroups(
  registry: ComponentRegistry,
  { namespace, appId }: Identity,
  onFilterFailure: (error: Error) => void,
) {
  /** Which group of a component a request names. */
  const find = (pubsub: string, topic: string, group: string, path: string) => {
    const violations = new Violations();
    checkName(`${path}topic`, topic, violations);
    if (group !== "") checkName(`${path}group`, group, violations);
    violations.throwIfAny();
    const binding = registry.use("pubsub", pubsub);
    const call: GroupCall = { keyspace: namespace, topic, group: `${appId}/${group || appId}` };
    return { binding, call };
  };

  return {
    /** The part of a component in which this runtime's topics are. */
    keyspace: namespace,
    find,

    /** Opens a group, making it if it is new. */
    async open(open: Open, signal: AbortSignal): Promise<OpenGroup> {
      const { binding, call } = find(open.pubsub, open.topic, open.ephemeral ? ephemeralName() : open.group, "open.");
      const violations = new Violations();
      if (open.ephemeral && (open.group !== "" || open.updateGroup)) {
        violations.add("open.ephemeral", "makes a group of the stream's own; leave group and update_group out");
      }
      const settings = open.settings && toSettings(open.settings, "open.settings.", violations);
      if (open.updateGroup && settings === undefined) {
        violations.add("open.settings", "is missing; update_group says that the group's settings become these");
      }
      violations.throwIfAny();
      const { live, serve } = binding;
      if (settings?.ordered) requireFeature(serve.features, "ORDERED", "pubsub", live.plan.name);
      if (settings !== undefined && settings.start.type !== "new") {
        requireFeature(serve.features, "REPLAY", "pubsub", live.plan.name);
      }
      // A filter that does not compile must make no group.
      let wants = await compileFilter(settings?.filter ?? "", onFilterFailure);
      const effective = await live.track(
        Promise.resolve(
          serve.openGroup({ ...call, settings, defaults: defaultSettings, update: open.updateGroup, signal }),
        ),
      );
      if (effective.filter !== (settings?.filter ?? "")) wants = await compileFilter(effective.filter, onFilterFailure);
      return { binding, call, settings: effective, wants };
    },

    /** Whether a group, as a delivery id names it, is this app's. */
    isOwn: (group: string) => group.startsWith(`${appId}/`),
  };
}

/** Nobody else comes upon it. */
const ephemeralName = () => `ephemeral-${randomUUID()}`;

/** What {@link createGroups} gives. */
export type Groups = ReturnType<typeof createGroups>;
