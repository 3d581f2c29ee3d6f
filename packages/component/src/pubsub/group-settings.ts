import { ComponentError } from "../errors.js";
import type { GroupSettings } from "./interface.js";

/** What never changes of a group. */
const fixed: readonly (keyof GroupSettings)[] = ["ordered", "start"];

/**
 * Requires that a group may be opened with settings other than it has.
 *
 * @throws GROUP_MISMATCH with `fields`, when they differ and `update` is not set, or when what never changes differs
 */
export function requireSameGroup(group: string, has: GroupSettings, wanted: GroupSettings, update: boolean): void {
  const names = Object.keys(wanted) as (keyof GroupSettings)[];
  const different = names.filter((name) => JSON.stringify(has[name]) !== JSON.stringify(wanted[name]));
  const refused = update ? different.filter((name) => fixed.includes(name)) : different;
  if (refused.length === 0) return;
  const says = refused.map((name) => `${name} is ${JSON.stringify(has[name])}, not ${JSON.stringify(wanted[name])}`);
  const advice = refused.some((name) => fixed.includes(name))
    ? "that never changes: use another group"
    : "open it with these settings, or with update_group to change them";
  throw new ComponentError("GROUP_MISMATCH", `group "${group}" has other settings: ${says.join(", ")}; ${advice}`, {
    metadata: { group, fields: refused.join(",") },
  });
}
