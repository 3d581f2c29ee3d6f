import { isDeepStrictEqual } from "node:util";
import type { ResourceService, ServiceContext } from "../config/kind.js";
import type { Problem } from "../config/problem.js";
import { problemOf } from "../config/resource.js";
import { describeSubscription, sampleSubscription } from "./describe.js";
import type { SubscriptionPlan } from "./plan.js";
import { Subscription } from "./subscription.js";

/** A subscription that was replaced or removed waits for what the app has for as long as the app may take, and this much, in ms. */
const retireMarginMs = 5_000;

/** What runs subscriptions. */
export function createSubscriptionService(context: ServiceContext): ResourceService<SubscriptionPlan> {
  const { app, identity, clock, logger } = context;
  const running = new Map<string, Subscription>();
  /** Those that wait for what the app still has of them. */
  const retiring = new Set<Subscription>();

  const retire = (old: Subscription | undefined) => {
    if (old === undefined) return;
    const timedOut = Promise.withResolvers<void>();
    const cancel = clock.after(old.plan.source.settings.ackTimeoutMs + retireMarginMs, timedOut.resolve);
    retiring.add(old);
    void old.close(timedOut.promise).finally(() => {
      cancel();
      retiring.delete(old);
    });
  };

  /** Brings one subscription to what its plan says; throws without a change if that cannot be. */
  const bring = async (plan: SubscriptionPlan) => {
    if (app === undefined) {
      throw new Error(
        "it posts to the app, whose port is not known: say --app-port (appPort), or remove the subscription",
      );
    }
    const old = running.get(plan.name);
    if (old !== undefined && isSame(old.plan, plan)) return;
    const next = new Subscription(plan, context, app);
    // The old one goes on until the new one has its group: nothing that is published between them is missed.
    await next.start();
    running.set(plan.name, next);
    retire(old);
    if (old !== undefined) logger.info({ subscription: plan.name }, `subscription "${plan.name}" was replaced`);
  };

  const inOrder = () => [...running.values()].sort((a, b) => (a.plan.name < b.plan.name ? -1 : 1));

  return {
    async apply(plans) {
      const own = plans.filter(({ scopes }) => scopes === undefined || scopes.includes(identity.appId));
      const problems: Problem[] = [];
      for (const plan of own) {
        try {
          await bring(plan);
        } catch (error) {
          const message = error instanceof Error ? error.message : String(error);
          problems.push(problemOf(plan, `subscription "${plan.name}": ${message}`, ["metadata", "name"]));
        }
      }
      for (const [name, old] of running) {
        if (own.some((plan) => plan.name === name) || problems.length > 0) continue;
        running.delete(name);
        retire(old);
        logger.info({ subscription: name }, `subscription "${name}" was removed; its group keeps what is published`);
      }
      return problems;
    },
    drain() {
      for (const subscription of running.values()) subscription.stop();
    },
    async close(timedOut) {
      await Promise.all([...running.values(), ...retiring].map((subscription) => subscription.close(timedOut)));
    },
    info: () => ({ subscriptions: inOrder().map(describeSubscription) }),
    metrics: () => inOrder().flatMap(sampleSubscription),
  };
}

/** Whether two plans ask for the same, wherever they stand. */
function isSame({ document: _here, ...a }: SubscriptionPlan, { document: _there, ...b }: SubscriptionPlan): boolean {
  return isDeepStrictEqual(a, b);
}
