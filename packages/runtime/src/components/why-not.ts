import { ComponentError } from "@mecha/component";
import type { BlockName } from "../blocks/registry.js";
import type { Bindings } from "./bindings.js";
import type { LiveComponent } from "./live.js";

/** A call that found nothing: what it asked for, and how things are. */
export interface Miss {
  readonly block: BlockName;
  /** The component's name; "" for the default one. */
  readonly name: string;
  readonly appId: string;
  /** What runs under that name, though the call may not have it. */
  readonly live: LiveComponent | undefined;
  readonly bindings: Bindings;
  /** Components between their old and their new instance (`replace: stop-first`). */
  readonly stoppedFirst: ReadonlySet<string>;
  /** Whether the runtime is stopping. */
  readonly closed: boolean;
}

/** The error for the caller. */
export function whyNot({ block, name, appId, live, bindings, stoppedFirst, closed }: Miss): ComponentError {
  const metadata = { component: name, block };
  if (closed) {
    return new ComponentError("COMPONENT_UNAVAILABLE", "the runtime is stopping", { metadata, retryAfterMs: 1_000 });
  }
  if (stoppedFirst.has(name) || (name === "" && stoppedFirst.size > 0)) {
    const message = `component "${name}" is being replaced; try again`;
    return new ComponentError("COMPONENT_REPLACED", message, { metadata, retryAfterMs: 200 });
  }
  if (live === undefined) {
    const serving = [...bindings[block].keys()].filter((key) => key !== "").map((key) => `"${key}"`);
    const there =
      serving.length === 0
        ? `no component serves block "${block}": add one to the resources (mecha schema lists the types)`
        : `block "${block}" is served by ${serving.join(", ")}`;
    const what = name === "" ? `block "${block}" has no default component` : `there is no component "${name}"`;
    const message = name === "" && serving.length === 0 ? there : `${what}; ${there}`;
    return new ComponentError("COMPONENT_NOT_FOUND", message, { metadata });
  }
  const { plan } = live;
  if (!plan.blocks.includes(block)) {
    const message = `component "${plan.name}" (${plan.definition.type}) does not serve block "${block}"; it serves: ${plan.blocks.join(", ")}`;
    return new ComponentError("BLOCK_NOT_SERVED", message, { metadata });
  }
  const message = `app "${appId}" may not use component "${plan.name}"; its scopes do not list the app`;
  return new ComponentError("OUT_OF_SCOPE", message, {
    metadata: { ...metadata, component: plan.name, app_id: appId },
  });
}
