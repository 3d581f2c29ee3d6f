import type { AppHealth } from "../app/health.js";
import type { Door } from "../blocks/block.js";
import type { ComponentRegistry } from "../components/registry.js";
import { send, sendJson } from "../server/http.js";
import type { Histogram } from "../telemetry/histogram.js";
import { createMetrics, type Metrics, type Sample } from "../telemetry/metrics.js";
import type { Lifecycle } from "./lifecycle.js";

/** `/healthz` (alive), `/readyz` (takes calls, and so does the app if it has a port) and `/metrics`; all without a token, so they name nothing secret. */
export function createHealthDoors(
  lifecycle: Lifecycle,
  registry: ComponentRegistry,
  histograms: readonly Histogram[],
  app: Pick<AppHealth, "healthy">,
  moreMetrics: () => Promise<readonly Sample[]>,
): { readonly doors: readonly Door[]; close(): void } {
  let metrics: Promise<Metrics> | undefined;
  const doors: Door[] = [
    {
      prefix: "/healthz",
      handle: async (_request, response) => sendJson(response, 200, { status: "alive" }),
    },
    {
      prefix: "/readyz",
      // A component that is away does not make the runtime unready: every replica would leave the balancer at once, and none could answer
      // what needs that component not. Its state is told, and grpc.health has it per block.
      handle: async (_request, response) => {
        const waiting = lifecycle.phase === "ready" && !app.healthy;
        const ready = lifecycle.phase === "ready" && !waiting;
        const unhealthy = registry.list().filter(({ health }) => !health.healthy);
        sendJson(response, ready ? 200 : 503, {
          status: waiting ? "waiting for the app" : lifecycle.phase,
          unhealthyComponents: unhealthy.map(({ plan }) => plan.name),
        });
      },
    },
    {
      prefix: "/metrics",
      handle: async (_request, response) => {
        metrics ??= createMetrics(histograms, registry, moreMetrics);
        const { contentType, text } = await metrics;
        send(response, 200, { "content-type": contentType }, await text());
      },
    },
  ];
  // Metrics that could not be made were told to whoever asked for them.
  const close = () => void metrics?.then((made) => made.close()).catch(() => {});
  return { doors, close };
}
