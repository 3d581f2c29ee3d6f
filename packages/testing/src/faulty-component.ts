import type { Blocks, Clock, Component, ComponentDefinition } from "@mecha/component";
import { type CallName, delayBy, type FaultLine, faultError } from "./faults.js";

/** Calls that do not answer with a value or a promise: those that stream, and those that hand out something to call. */
const kinds: Partial<Record<CallName, "stream" | "handle">> = {
  "state.watch": "stream",
  "discovery.watch": "stream",
  "pubsub.consume": "handle",
};

/** What a component's calls pass through. */
interface Passage {
  readonly component: string;
  readonly clock: Clock;
  readonly line: FaultLine;
}

type Call = (...call: readonly unknown[]) => unknown;

/** A type of component whose components can be broken by `line`. Each tells `onStart` its name. */
export function withFaults(
  definition: ComponentDefinition,
  line: FaultLine,
  onStart: (component: string) => void,
): ComponentDefinition {
  return {
    ...definition,
    async create(config, context) {
      const component = await definition.create(config, context);
      onStart(context.name);
      return breakable(component, { component: context.name, clock: context.clock, line });
    },
  };
}

function breakable(component: Component, passage: Passage): Component {
  const blocks = Object.fromEntries(
    Object.entries(component.blocks).map(([name, block]) => [name, intercept(block, name, passage)]),
  ) as Blocks;
  return {
    blocks,
    health: (signal) =>
      Promise.resolve(
        pass("health", (given) => component.health(given as AbortSignal), [signal], passage),
      ) as Promise<void>,
    close: () => component.close(),
  };
}

/** The same object, but what is called on it passes by the faults. */
function intercept<Target extends object>(target: Target, block: string, passage: Passage): Target {
  return new Proxy(target, {
    get(_, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== "function" || typeof property !== "string") return value;
      const call = `${block}.${property}` as CallName;
      const act: Call = (...given) => Reflect.apply(value, target, given);
      return (...given: readonly unknown[]) => {
        if (kinds[call] === "stream") return stream(call, act, given, passage);
        if (kinds[call] === "handle") return intercept(act(...given) as object, block, passage);
        return pass(call, act, given, passage);
      };
    },
  });
}

/** A call that answers at once still does so where no fault meets it. */
function pass(call: CallName, act: Call, given: readonly unknown[], { component, clock, line }: Passage): unknown {
  const { delayMs, fail } = line.meet(component, call);
  if (delayMs === 0 && fail === undefined) return act(...given);
  return (async () => {
    if (delayMs > 0) await delayBy(clock, delayMs, signalOf(given));
    if (fail?.acts === true) await act(...given);
    if (fail !== undefined) throw faultError(component, fail);
    return act(...given);
  })();
}

async function* stream(call: CallName, act: Call, given: readonly unknown[], passage: Passage): AsyncGenerator {
  const { component, clock, line } = passage;
  const { delayMs, fail } = line.meet(component, call);
  const signal = signalOf(given);
  if (delayMs > 0) await delayBy(clock, delayMs, signal);
  if (fail !== undefined) throw faultError(component, fail);

  const interruption = new AbortController();
  const forget = line.onInterrupt(component, () => interruption.abort());
  const either = AbortSignal.any(signal === undefined ? [interruption.signal] : [signal, interruption.signal]);
  try {
    yield* act({ ...(given[0] as object), signal: either }) as AsyncIterable<unknown>;
  } finally {
    forget();
  }
  if (interruption.signal.aborted) throw faultError(component, { reason: "COMPONENT_UNAVAILABLE" });
}

/** By convention the one argument of a block's call is an object, with the caller's signal where there is one. */
function signalOf([first]: readonly unknown[]): AbortSignal | undefined {
  if (first instanceof AbortSignal) return first;
  const signal = typeof first === "object" && first !== null && "signal" in first ? first.signal : undefined;
  return signal instanceof AbortSignal ? signal : undefined;
}
