import { ComponentError } from "@mecha/component";
import type { ResourceService, ServiceContext } from "../config/kind.js";
import type { RuntimeLogger } from "../telemetry/logger.js";
import type { Sample, SampledMetric } from "../telemetry/metrics.js";
import { type AccessCall, type AccessDecision, decide } from "./decide.js";
import type { AccessPlan } from "./plan.js";

/** Who may call this runtime's app. */
export interface AccessControl {
  /** Lets a call pass, or throws ACCESS_DENIED. */
  check(call: AccessCall): void;
  /** Judges by these from now on. */
  use(policies: readonly AccessPlan[]): void;
  metrics(): readonly Sample[];
}

const decisions: SampledMetric = {
  name: "mecha_access_decisions_total",
  help: "What access policies decided about calls of other apps: allowed, denied, or what a dry run would have denied (dry-run).",
  type: "counter",
  labels: ["decision"],
};

export function createAccessControl(appId: string, logger: RuntimeLogger): AccessControl {
  let enforced: readonly AccessPlan[] = [];
  let tried: readonly AccessPlan[] = [];
  const counts = { allowed: 0, denied: 0, "dry-run": 0 };

  const tell = (call: AccessCall, { policy, rule }: AccessDecision, message: string) => {
    const { from, method, path } = call;
    const by = { policy: policy?.name, source: rule?.source ?? policy?.document.sourceOf([]) };
    logger.warn({ from, method, path, ...by }, message);
  };

  return {
    check(call) {
      if (tried.length > 0) {
        // What is tried is judged together with what holds already: as it would be once it is enforced.
        const decision = decide([...enforced, ...tried], call);
        if (!decision.allowed && decision.policy?.dryRun === true) {
          counts["dry-run"] += 1;
          tell(call, decision, `would refuse a call of app "${call.from}" (dry run)`);
        }
      }
      if (enforced.length === 0) return;
      const decision = decide(enforced, call);
      counts[decision.allowed ? "allowed" : "denied"] += 1;
      if (decision.allowed) return;
      tell(call, decision, `refused a call of app "${call.from}"`);
      const message = `app "${call.from}" may not call ${call.method} ${call.path} of app "${appId}": an access policy of that app does not allow it`;
      throw new ComponentError("ACCESS_DENIED", message, { metadata: { app: appId, caller: call.from } });
    },
    use(policies) {
      const own = policies.filter(({ app }) => app === undefined || app === appId);
      enforced = own.filter(({ dryRun }) => !dryRun);
      tried = own.filter(({ dryRun }) => dryRun);
    },
    metrics: () => {
      const samples = Object.entries(counts).map(([decision, value]) => ({
        metric: decisions,
        labels: { decision },
        value,
      }));
      return samples.some(({ value }) => value > 0) ? samples : [];
    },
  };
}

/** Has the runtime's access control judge by the access policies. */
export function createAccessService({ gate }: ServiceContext): ResourceService<AccessPlan> {
  return {
    async apply(plans) {
      gate.access.use(plans);
      return [];
    },
    drain() {},
    async close() {},
    info: () => ({}),
    metrics: () => gate.access.metrics(),
  };
}
