import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import type { Batches, SamplerName, Tracing } from "./tracing.js";

/** How long the last spans may take on their way, in ms. */
const closeTimeoutMs = 3_000;

/** What spans say of where they come from, and which are sent. */
export interface ExportOptions {
  readonly serviceName: string;
  readonly appId: string;
  readonly namespace: string;
  readonly sampler: { readonly name: SamplerName; readonly ratio: number };
  readonly batches: Batches;
}

/** Sends spans by OTLP over HTTP, in the background and in batches; where to, with which headers and how long, the exporter reads from the environment. */
export function exportSpans({ serviceName, appId, namespace, sampler, batches }: ExportOptions): Tracing {
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      "service.name": serviceName,
      "service.namespace": namespace,
      "mecha.app_id": appId,
    }),
    sampler: createSampler(sampler.name, sampler.ratio),
    spanProcessors: [new BatchSpanProcessor({ exporter: new OTLPTraceExporter(), ...batches })],
  });
  return {
    tracer: provider.getTracer("mecha"),
    traceUnsampled: !sampler.name.startsWith("parentbased_"),
    async close() {
      // A collector that is away must not keep the runtime from stopping.
      const patience = new Promise<void>((resolve) => setTimeout(resolve, closeTimeoutMs).unref());
      await Promise.race([provider.shutdown().catch(() => {}), patience]);
    },
  };
}

function createSampler(name: SamplerName, ratio: number): Sampler {
  switch (name) {
    case "always_on":
      return new AlwaysOnSampler();
    case "always_off":
      return new AlwaysOffSampler();
    case "traceidratio":
      return new TraceIdRatioBasedSampler(ratio);
    case "parentbased_always_on":
      return new ParentBasedSampler({ root: new AlwaysOnSampler() });
    case "parentbased_always_off":
      return new ParentBasedSampler({ root: new AlwaysOffSampler() });
    case "parentbased_traceidratio":
      return new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio) });
  }
}
