import type { AssistStore, Component, InputLease, InputSource } from "@mecha/component";
import { createManualClock, startComponent } from "@mecha/component/conformance";
import { memory } from "@mecha/component-memory";
import { onTestFinished } from "vitest";
import { cron } from "../src/index.js";

export const minuteMs = 60_000;
export const hourMs = 60 * minuteMs;
const leaseMs = 30_000;

/** One store, one clock, and as many replicas of the runtime over them as a test starts. */
export async function createReplicas(config: Record<string, unknown>) {
  const clock = createManualClock();
  const storage = await startComponent(memory, {}, { clock });
  const { state } = storage.blocks;
  if (state === undefined) throw new Error("memory serves state");
  const store: AssistStore = { use: async (work) => work(state, "default/_assist/tick") };
  onTestFinished(() => storage.close());

  const start = async (): Promise<Replica> => {
    const component = await startComponent(cron, config, { clock, store });
    onTestFinished(() => component.close());
    return new Replica(component);
  };
  return { clock, start };
}

/** One runtime's consumer. */
export class Replica {
  readonly source: InputSource;

  constructor(readonly component: Component) {
    const input = component.blocks.binding?.input;
    if (input === undefined) throw new Error("a cron has events");
    this.source = input.consume({ keyspace: "default/shop" });
  }

  /** What is due now, without waiting. */
  async now(): Promise<InputLease | undefined> {
    const [lease] = await this.source.receive({ maxItems: 10, maxBytes: 1e6, leaseMs, signal: AbortSignal.abort() });
    return lease;
  }

  /** The next firing, whenever it is. */
  async next(): Promise<InputLease | undefined> {
    const signal = AbortSignal.timeout(10_000);
    const [lease] = await this.source.receive({ maxItems: 10, maxBytes: 1e6, leaseMs, signal });
    return lease;
  }

  async settle(type: "ack" | "release", lease: InputLease | undefined): Promise<boolean> {
    const [counted] = await this.source.settle([{ type, handle: lease?.handle ?? "" }]);
    return counted === true;
  }

  async retry(lease: InputLease | undefined, afterMs: number): Promise<boolean> {
    const [counted] = await this.source.settle([{ type: "retry", handle: lease?.handle ?? "", afterMs, error: "" }]);
    return counted === true;
  }
}
