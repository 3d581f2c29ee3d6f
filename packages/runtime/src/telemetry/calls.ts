import { createHistogram, type Histogram, type Series } from "./histogram.js";

/** Counts calls of the runtime's services. */
export interface CallRecorder {
  readonly histogram: Histogram;
  /** The record of one method; asked for once, then kept. */
  method(service: string, method: string): MethodRecord;
}

/** What the calls of one method took, by the code they ended with. */
export interface MethodRecord {
  readonly service: string;
  readonly method: string;
  observe(code: string, seconds: number): void;
}

/** Creates an empty recorder. */
export function createCallRecorder(): CallRecorder {
  const histogram = createHistogram(
    "mecha_rpc_duration_seconds",
    "How long calls took, by the code they ended with; of a stream, how long it was open.",
    ["service", "method", "code"],
  );
  return {
    histogram,
    method(service, method) {
      const byCode = new Map<string, Series>();
      return {
        service,
        method,
        observe(code, seconds) {
          let series = byCode.get(code);
          if (series === undefined) {
            series = histogram.series(service, method, code);
            byCode.set(code, series);
          }
          series.observe(seconds);
        },
      };
    },
  };
}
