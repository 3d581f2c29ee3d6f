import { type Duration, toMilliseconds } from "@mecha/client";
import { type Blocks, type Clock, ComponentError, type DeliverySource, type Reason } from "@mecha/component";

type MethodName<Block> = {
  [Name in keyof Block & string]: Block[Name] extends (...call: never[]) => unknown ? Name : never;
}[keyof Block & string];

/**
 * A call that the runtime makes to a component: `"state.write"` (every Set, Delete and Transact is one), `"pubsub.publish"`,
 * `"health"`. A block's name alone is every call of that block.
 */
export type CallName =
  | "health"
  | keyof Blocks
  | { [Name in keyof Blocks & string]: `${Name}.${MethodName<NonNullable<Blocks[Name]>>}` }[keyof Blocks & string]
  | `pubsub.${MethodName<DeliverySource>}`;

/** Which calls a fault meets. */
export interface FaultOptions {
  /** Default: every call, but not `health`. */
  on?: CallName;
  /** How many calls it meets before it is over. Default: every one until it is lifted. */
  times?: number;
}

/** Options of {@link Faults.fail}. */
export interface FailOptions extends FaultOptions {
  /** What the component says. Default: `COMPONENT_UNAVAILABLE`; with `acts`, `OUTCOME_UNKNOWN`. */
  reason?: Reason;
  /** Whether the component does what it was asked for before it fails, as when a reply is lost. Default false. */
  acts?: boolean;
}

/** A fault that is in force. */
export interface Fault extends Disposable {
  /** How many calls it has met. */
  readonly hits: number;
  /** Ends it. */
  lift(): void;
}

/** Breaks components on purpose. Every fault is for one component, by its name. */
export interface Faults {
  /** Makes calls fail. */
  fail(component: string, options?: FailOptions): Fault;
  /** Makes calls wait before they are done, by the test's clock: until it is advanced they hang, as on a network that lost them. */
  delay(component: string, duration: Duration, options?: FaultOptions): Fault;
  /** Breaks the streams (watches) that are open now, as when the infrastructure restarts. Clients open them again. */
  interrupt(component: string): void;
  /** Lifts every fault. */
  clear(): void;
}

/** What stands between the runtime and a component. */
export interface FaultLine {
  /** What meets this call now, each counted. */
  meet(component: string, call: CallName): { readonly delayMs: number; readonly fail: FailOptions | undefined };
  /** Calls back when the component's streams are to break; the function that is returned ends that. */
  onInterrupt(component: string, listener: () => void): () => void;
}

interface ActiveFault extends FaultOptions {
  readonly component: string;
  readonly delayMs: number;
  readonly fail: FailOptions | undefined;
  hits: number;
}

/** @param names the components that faults can be for */
export function createFaults(names: () => readonly string[]): { faults: Faults; line: FaultLine } {
  const active = new Set<ActiveFault>();
  const listeners = new Map<string, Set<() => void>>();

  const requireKnown = (component: string) => {
    if (names().includes(component)) return;
    throw new TypeError(
      `no component "${component}" that faults can be injected into; there are: ${names().join(", ")}`,
    );
  };

  const add = (component: string, options: FaultOptions, effect: Pick<ActiveFault, "delayMs" | "fail">): Fault => {
    requireKnown(component);
    const { times } = options;
    if (times !== undefined && !(Number.isInteger(times) && times > 0)) {
      throw new TypeError(`option \`times\` is ${times}; it must be a whole number, 1 or more`);
    }
    const fault: ActiveFault = { ...options, ...effect, component, hits: 0 };
    active.add(fault);
    const lift = () => void active.delete(fault);
    return {
      get hits() {
        return fault.hits;
      },
      lift,
      [Symbol.dispose]: lift,
    };
  };

  const line: FaultLine = {
    meet(component, call) {
      const met = [...active].filter((fault) => fault.component === component && covers(fault.on, call));
      let delayMs = 0;
      let fail: FailOptions | undefined;
      for (const fault of met) {
        // A call fails once: the first failure is the one that it meets.
        if (fault.fail !== undefined && fail !== undefined) continue;
        fail ??= fault.fail;
        delayMs += fault.delayMs;
        fault.hits++;
        if (fault.hits === fault.times) active.delete(fault);
      }
      return { delayMs, fail };
    },
    onInterrupt(component, listener) {
      const group = listeners.get(component) ?? new Set();
      listeners.set(component, group.add(listener));
      return () => group.delete(listener);
    },
  };

  const faults: Faults = {
    fail: (component, options = {}) => add(component, options, { delayMs: 0, fail: options }),
    delay: (component, duration, options = {}) =>
      add(component, options, { delayMs: toMilliseconds(duration), fail: undefined }),
    interrupt(component) {
      requireKnown(component);
      for (const listener of [...(listeners.get(component) ?? [])]) listener();
    },
    clear: () => active.clear(),
  };
  return { faults, line };
}

function covers(on: CallName | undefined, call: CallName): boolean {
  if (on === undefined) return call !== "health";
  return on === call || call.startsWith(`${on}.`);
}

/** The error that a fault answers a call with. */
export function faultError(component: string, { reason, acts = false }: FailOptions): ComponentError {
  const because = reason ?? (acts ? "OUTCOME_UNKNOWN" : "COMPONENT_UNAVAILABLE");
  const message = `component "${component}" fails because the test says so (${because})`;
  // Soon: clients wait for as long before they try again.
  const retry = because === "COMPONENT_UNAVAILABLE" ? { retryAfterMs: 1 } : {};
  return new ComponentError(because, message, { metadata: { component }, ...retry });
}

/** Waits by `clock`; rejects when `signal` aborts. */
export function delayBy(clock: Clock, delayMs: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const give = () => {
      cancel();
      reject(signal?.reason);
    };
    const cancel = clock.after(delayMs, () => {
      signal?.removeEventListener("abort", give);
      resolve();
    });
    signal?.addEventListener("abort", give, { once: true });
  });
}
