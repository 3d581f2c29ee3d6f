import { basename } from "node:path";
import type { Plan } from "./plan.js";
import type { Problem } from "./problem.js";
import { resourceId } from "./resource.js";

/** A resource as `RuntimeService.ListResources` tells of it. */
export interface ResourceStatus {
  readonly kind: string;
  readonly name: string;
  /** File, without its folder, and line. */
  readonly source: string;
  /** Why its last change was refused; empty if it was not. */
  readonly error: string;
}

/** The resources that run, each with what was wrong with its last change. */
export function resourceStatuses(running: Plan, refused: readonly Problem[]): ResourceStatus[] {
  const named = [...running.components.filter(({ implicit }) => !implicit), ...running.others];
  return named.map((plan) => ({
    kind: plan.kind,
    name: plan.name,
    source: basename(plan.document.sourceOf([])),
    error: refused
      .filter(({ resource }) => resource === resourceId(plan))
      .map(({ message }) => message)
      .join("; "),
  }));
}
