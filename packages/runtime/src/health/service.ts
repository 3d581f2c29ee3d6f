import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { type Health, HealthCheckResponse_ServingStatus as Status } from "@mecha/api/health";
import { RuntimeService } from "@mecha/api/runtime";
import { appBlocks } from "../blocks/registry.js";
import type { ComponentRegistry } from "../components/registry.js";
import type { Lifecycle } from "./lifecycle.js";

/**
 * `grpc.health.v1.Health`: the runtime as a whole ("") is as its lifecycle is; a block's service is also not serving while its default
 * component does not answer.
 */
export function createHealthService(lifecycle: Lifecycle, registry: ComponentRegistry) {
  const statusOf = (service: string): Status | undefined => {
    const block = appBlocks.find((candidate) => candidate.service.typeName === service);
    if (block === undefined && service !== "" && service !== RuntimeService.typeName) return undefined;
    if (lifecycle.phase !== "ready") return Status.NOT_SERVING;
    if (block === undefined) return Status.SERVING;
    return registry.defaultOf(block.name)?.health.healthy ? Status.SERVING : Status.NOT_SERVING;
  };
  return {
    check({ service }) {
      const status = statusOf(service);
      if (status === undefined) throw new ConnectError(`there is no service "${service}" here`, Code.NotFound);
      return { status };
    },
    async *watch({ service }, { signal }) {
      let told: Status | undefined;
      let wake = () => {};
      const stop = [lifecycle.onTurn(() => wake()), registry.onChange(() => wake())];
      const onAbort = () => wake();
      signal.addEventListener("abort", onAbort);
      try {
        // A runtime that drains says so, and then ends its streams: nobody holds it up by watching it.
        while (!signal.aborted && lifecycle.phase !== "stopped") {
          // Made before anything is looked at: what turns meanwhile is not missed.
          const turned = new Promise<void>((resolve) => (wake = resolve));
          const status = statusOf(service) ?? Status.SERVICE_UNKNOWN;
          if (status !== told) yield { status };
          told = status;
          if (lifecycle.phase === "draining") return;
          if (!signal.aborted) await turned;
        }
      } finally {
        for (const unsubscribe of stop) unsubscribe();
        signal.removeEventListener("abort", onAbort);
      }
    },
  } satisfies ServiceImpl<typeof Health>;
}
