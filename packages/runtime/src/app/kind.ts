import type { Kind, ResourceService, ServiceContext } from "../config/kind.js";
import { type AppPlan, planApp, relateApps } from "./plan.js";
import { type AppResource, appResource } from "./resource.js";

/** `kind: App`: how the app is started, which is for `mecha up`, and how it is probed. */
export const appKind: Kind<AppResource, AppPlan> = {
  kind: "App",
  schema: appResource,
  plan: planApp,
  relate: relateApps,
  start: createAppService,
};

/** Has the runtime's own app probed as its resource says. */
function createAppService({ health, appName }: ServiceContext): ResourceService<AppPlan> {
  return {
    async apply(plans) {
      health.probe(plans.find(({ name }) => name === appName)?.probes ?? {});
      return [];
    },
    drain() {},
    async close() {},
    info: () => ({}),
    metrics: () => [],
  };
}
