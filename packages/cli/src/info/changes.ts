import { type Component, type GetInfoResponse, Health, type Subscription, SubscriptionState } from "@mecha/api/runtime";
import { printable } from "../terminal/printable.js";

/** What is different now, in words, a line each; counters do not count. */
export function describeChanges(before: GetInfoResponse, now: GetInfoResponse): string[] {
  const restarted = before.processId !== now.processId || before.startTime?.seconds !== now.startTime?.seconds;
  return [
    ...(restarted ? [`the runtime was started anew, as process ${now.processId}`] : []),
    ...(before.version === now.version ? [] : [`version ${before.version} is now ${now.version}`]),
    ...compare("component", before.components, now.components, stateOfComponent),
    ...compare("subscription", before.subscriptions, now.subscriptions, stateOfSubscription),
  ];
}

function compare<T extends { name: string }>(
  kind: string,
  before: readonly T[],
  now: readonly T[],
  stateOf: (one: T) => string,
): string[] {
  const gone = before.filter(({ name }) => !now.some((one) => one.name === name));
  return [
    ...gone.map(({ name }) => `${kind} ${name} is gone`),
    ...now.flatMap((one) => {
      const old = before.find(({ name }) => name === one.name);
      if (old === undefined) return [`${kind} ${one.name} is new, ${stateOf(one)}`];
      return stateOf(old) === stateOf(one) ? [] : [`${kind} ${one.name} is ${stateOf(one)}`];
    }),
  ];
}

function stateOfComponent({ type, health, lastError }: Component): string {
  if (health === Health.UNHEALTHY) return `${type}, unhealthy: ${printable(lastError)}`;
  return `${type}, ${health === Health.HEALTHY ? "healthy" : "not known yet"}`;
}

function stateOfSubscription({ state }: Subscription): string {
  if (state === SubscriptionState.DELIVERING) return "delivering";
  return state === SubscriptionState.WAITING_FOR_APP ? "waiting for the app" : "waiting for its component";
}
