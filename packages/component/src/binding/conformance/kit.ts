import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import type { Component } from "../../component.js";
import type { Settlement } from "../../delivery/interface.js";
import type { CaseOf } from "../../suite/cases.js";
import { checkInvocation, matches } from "../check-invocation.js";
import type { BindingFeature } from "../features.js";
import type { Binding, BindingData, InputLease, InputSource, Parameter } from "../interface.js";
import type { BindingHarness, Sample } from "./harness.js";

/** A case of the binding suite. */
export type CaseDefinition = CaseOf<BindingFeature, BindingHarness, BindingKit>;

/** How long the suite waits for what must come, and for what must not, in ms. */
const mustComeMs = 10_000;
const mustNotComeMs = 150;

let counter = 0;

/** What one case works with. Everything that it opened is closed at its end. */
export class BindingKit implements AsyncDisposable {
  readonly keyspace = `conformance/app-${Date.now().toString(36)}-${++counter}`;
  readonly #components = new Set<Component>();
  readonly #sources = new Set<InputSource>();

  constructor(readonly harness: BindingHarness) {}

  /** A lease that is worth waiting for, in ms. */
  get leaseMs(): number {
    return this.harness.advance === undefined ? 1_000 : 30_000;
  }

  async open(): Promise<{ component: Component; binding: Binding }> {
    const component = await this.harness.open();
    this.#components.add(component);
    const { binding } = component.blocks;
    assert(binding !== undefined, "the component serves no binding block");
    return { component, binding };
  }

  async close(component: Component): Promise<void> {
    this.#components.delete(component);
    await component.close();
  }

  /** The call that works. */
  get works(): Sample {
    const { works } = this.harness;
    assert(works !== undefined, "the harness of a binding with OUTPUT says which call works");
    return works;
  }

  /** Calls as the runtime does: nothing that its description does not allow reaches the binding. */
  async invoke(
    binding: Binding,
    sample: Sample,
    signal: AbortSignal = new AbortController().signal,
  ): Promise<BindingData> {
    const { operation, data = "", contentType = "", metadata = {} } = sample;
    const call = { operation, data: typeof data === "string" ? Buffer.from(data) : data, contentType, metadata };
    checkInvocation(binding, call, "tested");
    assert(binding.invoke !== undefined, "a binding with OUTPUT has invoke");
    return binding.invoke({ ...call, keyspace: this.keyspace, signal });
  }

  /** Consumes the events of a binding. */
  consume(binding: Binding): Consumer {
    assert(binding.input !== undefined, "a binding with INPUT has input");
    const source = binding.input.consume({ keyspace: this.keyspace });
    this.#sources.add(source);
    return new Consumer(this, source);
  }

  /** Makes one event happen. */
  async trigger(component: Component): Promise<void> {
    assert(this.harness.trigger !== undefined, "the harness of a binding with INPUT makes events happen");
    await this.harness.trigger(component, this.keyspace);
  }

  async release(source: InputSource): Promise<void> {
    if (this.#sources.delete(source)) await source.close();
  }

  /** Lets `ms` pass. */
  async elapse(ms: number): Promise<void> {
    if (this.harness.advance === undefined) await delay(ms);
    else await this.harness.advance(ms);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const source of this.#sources) await this.release(source);
    await Promise.all([...this.#components].map((component) => component.close()));
  }
}

/** One consumer of a binding's events. */
export class Consumer {
  constructor(
    readonly kit: BindingKit,
    readonly source: InputSource,
  ) {}

  async take(maxItems = 100, withinMs = mustComeMs): Promise<readonly InputLease[]> {
    const signal = AbortSignal.timeout(withinMs);
    return this.source.receive({ maxItems, maxBytes: 64 * 1024 * 1024, leaseMs: this.kit.leaseMs, signal });
  }

  /** Takes one event, which must come. */
  async one(): Promise<InputLease> {
    const [lease] = await this.take(1);
    assert(lease !== undefined, `no event within ${mustComeMs} ms`);
    return lease;
  }

  /** Requires that there is nothing to take now. */
  async nothing(why: string): Promise<void> {
    const leases = await this.take(1, mustNotComeMs);
    assert.deepEqual(
      leases.map(({ event }) => event.id),
      [],
      why,
    );
  }

  /** Settles one lease; whether it counted. */
  async settle(settlement: Settlement): Promise<boolean> {
    const [counted] = await this.source.settle([settlement]);
    assert(counted !== undefined, "an outcome per settlement");
    return counted;
  }

  async ack({ handle }: InputLease): Promise<void> {
    assert.equal(await this.settle({ type: "ack", handle }), true, "an ack in time counts");
  }
}

/** Requires metadata to be what its description says. */
export function assertDescribed(metadata: Readonly<Record<string, string>>, described: readonly Parameter[]): void {
  for (const key of Object.keys(metadata)) {
    assert(
      described.some((parameter) => matches(parameter, key)),
      `metadata "${key}" is not described; described are: ${described.map(({ name }) => name).join(", ")}`,
    );
  }
  for (const parameter of described.filter(({ required }) => required)) {
    assert(
      Object.keys(metadata).some((key) => matches(parameter, key)),
      `metadata "${parameter.name}" is always there, says its description`,
    );
  }
}
