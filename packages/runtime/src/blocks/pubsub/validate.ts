import type { DeadLetterSelection, GroupSettings as GroupSettingsMessage, PublishEntry } from "@mecha/api/pubsub";
import { type GroupSettings, type GroupStart, pubsubLimits } from "@mecha/component";
import { defaultPolicy, toPolicy } from "../../delivery/terms.js";
import { within } from "../bounds.js";
import { checkBytes, type Violations } from "../validation.js";

const { maxNameLength, maxOrderingKeyBytes, maxDelayMs } = pubsubLimits;

const name = new RegExp(`^[A-Za-z0-9._-]{1,${maxNameLength}}$`);

/** The longest filter. */
export const maxFilterBytes = 4096;

/** What a group has that asks for nothing. */
export const defaultSettings: GroupSettings = {
  filter: "",
  ordered: false,
  start: { type: "new" },
  ...defaultPolicy,
};

/** Requires the name of a topic or group. */
export function checkName(field: string, value: string, violations: Violations): void {
  if (!name.test(value)) {
    violations.add(
      field,
      `is "${value.slice(0, 140)}"; 1 to ${maxNameLength} characters of [A-Za-z0-9._-] are allowed`,
    );
  }
}

/** What an entry says beside its event. */
export interface EntryOptions {
  readonly delayMs: number;
  readonly ttlMs: number | undefined;
}

/** Checks an entry, all but its event; `path` is where its fields are: "entry." or "entries[3].". */
export function checkEntry(entry: PublishEntry, path: string, violations: Violations): EntryOptions {
  checkName(`${path}topic`, entry.topic, violations);
  checkBytes(`${path}ordering_key`, entry.orderingKey, maxOrderingKeyBytes, violations);
  const delayMs = within(entry.delay, [0, maxDelayMs], 0, `${path}delay`, violations);
  const ttlMs = within(entry.ttl, [1, maxDelayMs], undefined, `${path}ttl`, violations);
  if (delayMs > 0 && entry.orderingKey !== "") {
    violations.add(`${path}delay`, "cannot be kept together with ordering_key; leave one of them out");
  }
  return { delayMs, ttlMs };
}

/** A group's settings, with defaults for what is not set. */
export function toSettings(message: GroupSettingsMessage, path: string, violations: Violations): GroupSettings {
  checkBytes(`${path}filter`, message.filter, maxFilterBytes, violations);
  return {
    filter: message.filter,
    ordered: message.ordered,
    start: toStart(message, path, violations),
    ...toPolicy(message, path, violations),
  };
}

function toStart({ start }: GroupSettingsMessage, path: string, violations: Violations): GroupStart {
  const position = start?.position;
  switch (position?.case) {
    case "earliest":
      if (!position.value) violations.add(`${path}start.earliest`, "is false; set it to true, or set another start");
      return { type: "earliest" };
    case "time":
      return { type: "time", time: Number(position.value.seconds) * 1000 + Math.floor(position.value.nanos / 1e6) };
    default:
      return { type: "new" };
  }
}

/** Which dead letters: their ids, or undefined for all. */
export function toDeadLetterIds(
  selection: Pick<DeadLetterSelection, "all" | "deadLetterIds">,
  violations: Violations,
): readonly string[] | undefined {
  const { all, deadLetterIds } = selection;
  if (all && deadLetterIds.length === 0) return undefined;
  if (all) violations.add("selection.dead_letter_ids", "is given together with all; leave one of them out");
  else if (deadLetterIds.length < 1 || deadLetterIds.length > 1000) {
    violations.add("selection.dead_letter_ids", `has ${deadLetterIds.length} ids; 1 to 1000 are allowed, or set all`);
  }
  return deadLetterIds;
}
