import { setTimeout as delay } from "node:timers/promises";
import type { ComponentPlan } from "../config/component-plan.js";
import type { Problem } from "../config/problem.js";
import { problemOf } from "../config/resource.js";
import { backlogOf, type Route } from "./route.js";

/** A way that a change of the resources would end. */
export interface EndingRoute {
  readonly route: Route;
  /** What would not serve it any more, as it is now and, if it is still there, as it would be. */
  readonly ends: readonly { readonly plan: ComponentPlan; readonly next: ComponentPlan | undefined }[];
}

/** How long what waits may take to be handed over before a change is refused, and how often that is looked at, in ms. */
const patienceMs = 2_000;
const lookMs = 50;

/** The way as it would be ended by `next`; undefined if it goes on, or never began. */
export function endOf(
  route: Route,
  running: readonly ComponentPlan[],
  next: readonly ComponentPlan[],
  appId: string,
): EndingRoute | undefined {
  const find = (plans: readonly ComponentPlan[], name: string) => plans.find((plan) => plan.name === name);
  const { plan: store } = route.store.live;
  const target = find(running, route.target);
  const ends = [
    { plan: store, block: "state" as const },
    ...(target === undefined ? [] : [{ plan: target, block: "pubsub" as const }]),
  ].flatMap(({ plan, block }) => {
    const after = find(next, plan.name);
    const goesOn =
      after !== undefined &&
      after.definition.type === plan.definition.type &&
      after.blocks.includes(block) &&
      (after.scopes?.includes(appId) ?? true) &&
      (block === "pubsub" || after.keyspace === plan.keyspace);
    return goesOn ? [] : [{ plan, next: after }];
  });
  return ends.length === 0 ? undefined : { route, ends };
}

/**
 * What stands against ending ways: events that wait. They have a moment to go, since whatever is in use has some on their way.
 *
 * @param use says whether a way was ever used, as far as this runtime knows, and whether a transaction is under way that may still add to it
 */
export async function refuseEnds(ending: readonly EndingRoute[], use: (route: Route) => RouteUse): Promise<Problem[]> {
  const problems = await Promise.all(
    ending.map(async ({ route, ends }) => {
      const waiting = await whatWaits(route, use);
      return waiting === undefined ? [] : ends.map(({ plan, next }) => toProblem(waiting, route, plan, next));
    }),
  );
  return problems.flat();
}

/** How a way is used. */
export interface RouteUse {
  readonly isKnown: boolean;
  readonly isBusy: boolean;
}

/** What is left after a moment, in words; undefined if nothing is. */
async function whatWaits(route: Route, use: (route: Route) => RouteUse): Promise<string | undefined> {
  for (const deadline = performance.now() + patienceMs; ; await delay(lookMs)) {
    let waiting: string;
    try {
      const backlog = await backlogOf(route);
      if (backlog === 0 && !use(route).isBusy) return undefined;
      waiting = `${backlog} ${backlog === 1 ? "event waits" : "events wait"}`;
    } catch (error) {
      // A store that is gone for good, and that was never seen to keep anything, can be removed.
      if (!use(route).isKnown) return undefined;
      waiting = `events may wait (${error instanceof Error ? error.message : error})`;
    }
    if (performance.now() >= deadline) return waiting;
  }
}

function toProblem(waiting: string, route: Route, plan: ComponentPlan, next: ComponentPlan | undefined): Problem {
  const store = route.store.live.plan.name;
  const change = next === undefined ? "removed" : "changed in type, blocks, scopes or keyspace";
  const message = `${waiting} in the outbox of component "${store}" for component "${route.target}": "${plan.name}" cannot be ${change} before they are handed over`;
  return problemOf(next ?? plan, message, next === undefined ? [] : ["spec"]);
}
