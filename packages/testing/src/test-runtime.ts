import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Transport } from "@connectrpc/connect";
import { type Duration, toMilliseconds } from "@mecha/client";
import type { Clock, ComponentDefinition } from "@mecha/component";
import { createManualClock } from "@mecha/component/conformance";
import { memory } from "@mecha/component-memory";
import { createRuntime, type ResourceObject, type Runtime, type RuntimeLogger } from "@mecha/runtime";
import { createFaults, type Faults } from "./faults.js";
import { withFaults } from "./faulty-component.js";
import { countOpenCalls } from "./open-calls.js";

/** Options of {@link startTestRuntime}. */
export interface TestRuntimeOptions {
  /** The app under test, a DNS label. Default: "app". */
  appId?: string;
  /** Default: "default". */
  namespace?: string;
  /**
   * The names of components that the app uses, each a memory component of its own. The first is the default of every block. Default:
   * `["default"]`, or none if `resources` are given.
   */
  names?: readonly string[];
  /** Resources besides: objects, or paths of YAML files. Default: none; nothing is read from the working directory. */
  resources?: readonly (string | ResourceObject)[];
  /** Types of components that `resources` use, beside `memory`. Faults can be injected into them too. Default: none. */
  components?: readonly ComponentDefinition[];
  /** What `$env` finds. Default: nothing; the machine's environment stays outside. */
  environment?: Readonly<Record<string, string | undefined>>;
  /** When the clock begins. Default: the start of 2026, UTC. */
  startTime?: Date;
  /** Where the runtime logs, pino or alike. Default: nowhere. */
  logger?: RuntimeLogger;
}

/** The time of a test: it stands still until the test advances it. */
export interface TestClock {
  /** What time it is. */
  now(): Date;
  /** Moves it on, `"10m"` or ms; whatever is due until then (expiries, delays) happens, in order, before this returns. */
  advance(duration: Duration): void;
}

/** A runtime within a test. */
export interface TestRuntime extends AsyncDisposable {
  /** What clients call it through: `createStateClient({ transport: mecha.transport })`. */
  readonly transport: Transport;
  readonly clock: TestClock;
  readonly faults: Faults;
  readonly runtime: Runtime;
  /** Stops it. Rejects if the test left a call or a stream open, or a component a timer. */
  close(): Promise<void>;
}

/** How long what the test has ended may take to be over, in ms. */
const graceMs = 1_000;

/**
 * Starts a runtime in this process: no port, no file, no other time than the test's.
 *
 * ```ts
 * await using mecha = await startTestRuntime();
 * const state = createStateClient({ transport: mecha.transport });
 * ```
 */
export async function startTestRuntime(options: TestRuntimeOptions = {}): Promise<TestRuntime> {
  const clock = createManualClock(options.startTime?.getTime());
  const started = new Set<string>();
  const { faults, line } = createFaults(() => [...started]);
  const definitions = [...(options.components ?? []), memory].map((definition) =>
    withFaults(definition, line, (name) => started.add(name)),
  );
  const names = options.names ?? (options.resources === undefined ? ["default"] : []);
  // Made only if a component asks for it.
  const dataDir = join(tmpdir(), `mecha-test-${randomUUID()}`);
  const runtime = await createRuntime({
    appId: options.appId ?? "app",
    namespace: options.namespace ?? "default",
    dataDir,
    resources: [...names.map((name, index) => memoryResource(name, index === 0)), ...(options.resources ?? [])],
    components: definitions,
    environment: options.environment ?? {},
    clock,
    watchResources: false,
    ...(options.logger !== undefined && { logger: options.logger }),
  });
  const calls = countOpenCalls(runtime.transport);

  const stop = async (): Promise<void> => {
    await settled(() => calls.list().length === 0);
    const leaks = calls.list().map((method) => `a call of ${method}`);
    calls.cancel();
    await runtime.close({ deadlineMs: graceMs });
    if (clock.pending > 0) leaks.push(`${clock.pending} timers of components`);
    await rm(dataDir, { recursive: true, force: true });
    if (leaks.length === 0) return;
    throw new Error(`the test left open: ${leaks.join(", ")}; end what it started (await using, signal, break)`);
  };
  let closing: Promise<void> | undefined;
  const close = () => (closing ??= stop());
  return {
    transport: calls.transport,
    clock: testClock(clock),
    faults,
    runtime,
    close,
    [Symbol.asyncDispose]: close,
  };
}

function testClock(clock: Clock & { advance(ms: number): void }): TestClock {
  return {
    now: () => new Date(clock.now()),
    advance: (duration) => clock.advance(toMilliseconds(duration)),
  };
}

function memoryResource(name: string, isDefault: boolean): ResourceObject {
  return {
    apiVersion: "mecha.dev/v1",
    kind: "Component",
    metadata: { name },
    spec: { type: "memory", acceptDurability: "PROCESS", ...(isDefault && { default: true }) },
  };
}

/** Waits until `condition` holds, or for {@link graceMs}. */
async function settled(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + graceMs;
  while (!condition() && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 1));
}
