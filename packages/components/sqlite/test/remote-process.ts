// A component in a process of its own, for `remote-component.ts`. Arguments: the data directory, the configuration, and the user id to
// take on once everything is loaded.
import { ComponentError, type StateStore } from "@mecha/component";
import { startComponent } from "@mecha/component/conformance";
import { sqlite } from "@mecha/component-sqlite";
import type { Abort, Answer, Question } from "./remote-protocol.ts";

const [dataDir = "", config = "{}", user = ""] = process.argv.slice(2);
if (user !== "") process.setuid?.(Number(user));

const send = (message: Answer) => process.send?.(message);

function errorFrom(error: unknown) {
  const reason = error instanceof ComponentError ? error.reason : undefined;
  const metadata = error instanceof ComponentError ? error.metadata : {};
  return { reason, message: error instanceof Error ? error.message : String(error), metadata };
}

const component = await startComponent(sqlite, JSON.parse(config), { dataDir }).catch((error: unknown) => {
  send({ id: 0, error: errorFrom(error) });
  process.exit(1);
});
const store = component.blocks.state as StateStore;
const callers = new Map<number, AbortController>();
const watches = new Map<number, AsyncIterator<unknown>>();

function callerOf(id: number): AbortController {
  const caller = callers.get(id) ?? new AbortController();
  callers.set(id, caller);
  return caller;
}

async function answer(question: Question): Promise<unknown> {
  switch (question.type) {
    case "call": {
      const { signal } = callerOf(question.id);
      try {
        return await store[question.method]({ ...question.call, signal } as never);
      } finally {
        callers.delete(question.id);
      }
    }
    case "next": {
      const { signal } = callerOf(question.watch);
      const watch =
        watches.get(question.watch) ?? store.watch({ ...question.call, signal } as never)[Symbol.asyncIterator]();
      watches.set(question.watch, watch);
      return watch.next();
    }
    case "return":
      return watches.get(question.watch)?.return?.();
    case "health":
      return component.health(AbortSignal.timeout(1_000));
    case "close":
      return component.close();
  }
}

process.on("message", (message: Question | Abort) => {
  if (message.type === "abort") return callers.get(message.call)?.abort();
  const { id } = message;
  const caller = callers.get(id);
  answer(message).then(
    (value) => send({ id, value }),
    (error: unknown) => {
      if (caller !== undefined && error === caller.signal.reason) return send({ id, aborted: true });
      if (error instanceof DOMException && error.name === "AbortError") return send({ id, aborted: true });
      return send({ id, error: errorFrom(error) });
    },
  );
});
process.on("disconnect", () => process.exit());
send({ id: 0, value: "ready" });
