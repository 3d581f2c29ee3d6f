// A process that opens components and does with them what `remote-component.ts` asks. Argument: the user id to take on once everything is
// loaded, if any.
import { type Component, ComponentError, type DeliverySource, type PubSub, type StateStore } from "@mecha/component";
import { startComponent } from "@mecha/component/conformance";
import { sqlite } from "@mecha/component-sqlite";
import type { Abort, Answer, Question } from "./remote-protocol.ts";

const [user = ""] = process.argv.slice(2);
if (user !== "") process.setuid?.(Number(user));

const components = new Map<number, Component>();
const callers = new Map<number, AbortController>();
const watches = new Map<number, AsyncIterator<unknown>>();
const sources = new Map<number, DeliverySource>();

function componentOf(id: number): Component {
  const component = components.get(id);
  if (component === undefined) throw new Error(`component ${id} was never opened`);
  return component;
}

const storeOf = (id: number) => componentOf(id).blocks.state as StateStore;

function callerOf(id: number): AbortController {
  const caller = callers.get(id) ?? new AbortController();
  callers.set(id, caller);
  return caller;
}

async function answer(question: Question): Promise<unknown> {
  switch (question.type) {
    case "open": {
      const { id, config, dataDir } = question;
      components.set(id, await startComponent(sqlite, config, { dataDir }));
      return id;
    }
    case "health":
      return componentOf(question.component).health(AbortSignal.timeout(1_000));
    case "close":
      return componentOf(question.component).close();
    case "call": {
      const { signal } = callerOf(question.id);
      const block = componentOf(question.component).blocks[question.block] as unknown as Record<
        string,
        (call: object) => unknown
      >;
      try {
        return plain(await block[question.method]?.({ ...question.call, signal }));
      } finally {
        callers.delete(question.id);
      }
    }
    case "source": {
      const { source: name, group, method, given } = question;
      const source = sources.get(name) ?? (componentOf(question.component).blocks.pubsub as PubSub).consume(group);
      sources.set(name, source);
      if (method !== "receive") return (source[method] as (...given: unknown[]) => unknown)(...given);
      const { signal } = callerOf(question.id);
      try {
        return await source.receive({ ...(given[0] as Parameters<DeliverySource["receive"]>[0]), signal });
      } finally {
        callers.delete(question.id);
      }
    }
    case "next": {
      const { signal } = callerOf(question.watch);
      const known = watches.get(question.watch);
      const call = { ...question.call, signal } as never;
      const watch = known ?? storeOf(question.component).watch(call)[Symbol.asyncIterator]();
      watches.set(question.watch, watch);
      return watch.next();
    }
    case "return": {
      const watch = watches.get(question.watch);
      watches.delete(question.watch);
      callers.delete(question.watch);
      return watch?.return?.();
    }
  }
}

/** An answer whose errors (those of single events) keep their fields on the way. */
function plain(found: unknown): unknown {
  if (!Array.isArray(found)) return found;
  return found.map((one: unknown) => {
    if (typeof one !== "object" || one === null || !("error" in one)) return one;
    const { reason, message, metadata } = one.error as ComponentError;
    return { ...one, error: { reason, message, metadata } };
  });
}

function answerFrom(id: number, error: unknown): Answer {
  if (error instanceof DOMException && error.name === "AbortError") return { id, aborted: true };
  const { reason, metadata } = error instanceof ComponentError ? error : { reason: undefined, metadata: {} };
  return { id, error: { reason, message: error instanceof Error ? error.message : String(error), metadata } };
}

const send = (message: Answer) => process.send?.(message);

process.on("message", (message: Question | Abort) => {
  if (message.type === "abort") return callers.get(message.call)?.abort();
  const { id } = message;
  answer(message).then(
    (value) => send({ id, value }),
    (error: unknown) => send(answerFrom(id, error)),
  );
});
process.on("disconnect", () => process.exit());
send({ id: 0, value: "ready" });
