import type { Tracer } from "@opentelemetry/api";
import { CliError, exitCodes } from "../errors.js";

/** A tracer whose spans go somewhere. */
export interface Tracing {
  readonly tracer: Tracer;
  /** Whether it has an opinion of its own on traces that nobody records. */
  readonly traceUnsampled: boolean;
  /** Sends what is left, for a few seconds at the most. Never rejects. */
  close(): Promise<void>;
}

/** How a span is chosen, by the names of the specification. */
export type SamplerName = (typeof samplerNames)[number];
const samplerNames = [
  "always_on",
  "always_off",
  "traceidratio",
  "parentbased_always_on",
  "parentbased_always_off",
  "parentbased_traceidratio",
] as const;

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * What OpenTelemetry's environment variables ask for (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/): an exporter
 * to `OTEL_EXPORTER_OTLP_ENDPOINT`, or nothing at all. Its SDK is loaded here only.
 */
export async function startTracing(appId: string, namespace: string, environment: Environment) {
  const endpoint = environment.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || environment.OTEL_EXPORTER_OTLP_ENDPOINT;
  if (!endpoint || environment.OTEL_SDK_DISABLED === "true" || environment.OTEL_TRACES_EXPORTER === "none") return;
  if (!URL.canParse(endpoint)) {
    throw new CliError(
      `OTEL_EXPORTER_OTLP_ENDPOINT is "${endpoint}", which is no URL; say http://127.0.0.1:4318`,
      exitCodes.usage,
    );
  }
  const sampler = { name: samplerName(environment), ratio: ratio(environment) };
  const batches = readBatches(environment);
  const { exportSpans } = await import("./otlp.js");
  return exportSpans({
    appId,
    namespace,
    sampler,
    batches,
    serviceName: environment.OTEL_SERVICE_NAME || `${appId}-mecha`,
  });
}

function samplerName({ OTEL_TRACES_SAMPLER: name }: Environment): SamplerName {
  if (!name) return "parentbased_always_on";
  const known = samplerNames.find((sampler) => sampler === name);
  if (known !== undefined) return known;
  throw new CliError(`OTEL_TRACES_SAMPLER is "${name}"; it must be one of ${samplerNames.join(", ")}`, exitCodes.usage);
}

function ratio({ OTEL_TRACES_SAMPLER_ARG: text }: Environment): number {
  const value = text ? Number(text) : 1;
  if (value >= 0 && value <= 1) return value;
  throw new CliError(`OTEL_TRACES_SAMPLER_ARG is "${text}"; it must be a number from 0 to 1`, exitCodes.usage);
}

/** How spans are collected before they are sent, in the words of the SDK; what the environment leaves out is undefined. */
export interface Batches {
  readonly maxExportBatchSize: number;
  readonly maxQueueSize?: number;
  /** In ms. */
  readonly scheduledDelayMillis: number;
  /** In ms. */
  readonly exportTimeoutMillis?: number;
}

/** The specification's 512 are written in one go: on a slow machine that stops everything else for some 10 ms. */
const defaultBatchSize = 32;
/** In ms. The specification's 5,000 keep spans for several scavenges: then V8 takes them for old, and more than one is needed to be rid of them. */
const defaultDelayMs = 200;

function readBatches(environment: Environment): Batches {
  const [size, queue, delayMs, timeoutMs] = [
    count(environment, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"),
    count(environment, "OTEL_BSP_MAX_QUEUE_SIZE"),
    count(environment, "OTEL_BSP_SCHEDULE_DELAY"),
    count(environment, "OTEL_BSP_EXPORT_TIMEOUT"),
  ];
  return {
    maxExportBatchSize: size ?? Math.min(defaultBatchSize, queue ?? defaultBatchSize),
    ...(queue !== undefined && { maxQueueSize: queue }),
    scheduledDelayMillis: delayMs ?? defaultDelayMs,
    ...(timeoutMs !== undefined && { exportTimeoutMillis: timeoutMs }),
  };
}

function count(environment: Environment, name: string): number | undefined {
  const text = environment[name];
  if (!text) return undefined;
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new CliError(`${name} is "${text}"; it must be a whole number above 0`, exitCodes.usage);
}
