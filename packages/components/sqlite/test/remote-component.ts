import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import {
  type Component,
  ComponentError,
  type DeliverySource,
  type PublishOutcome,
  type PubSub,
  pubsubLimits,
  type Reason,
  type StateStore,
} from "@mecha/component";
import type { Abort, Answer, Calls, Question } from "./remote-protocol.ts";

type WithoutId<T> = T extends { id: number } ? Omit<T, "id"> : never;

export interface RemoteOptions {
  /** A command that starts the command it is given: `["nice"]`. */
  readonly within?: readonly string[];
  /** The user id that the process takes on. */
  readonly user?: number;
}

/** A component of another process, as if it were one of this. */
export interface RemoteComponent extends Component {
  readonly state: StateStore;
}

/** Another process, in which components can be opened. */
export interface RemoteProcess {
  readonly pid: number | undefined;
  open(dataDir: string, config?: object): Promise<RemoteComponent>;
  stop(): Promise<void>;
  /** Ends the process at once. What was asked and not answered fails with OUTCOME_UNKNOWN. */
  kill(): Promise<void>;
}

export async function startRemoteProcess({ within = [], user }: RemoteOptions = {}): Promise<RemoteProcess> {
  const path = fileURLToPath(new URL("./remote-process.ts", import.meta.url));
  const program = [process.execPath, path, ...(user === undefined ? [] : [String(user)])];
  const [command = "", ...args] = [...within, ...program];
  const child = spawn(command, args, { stdio: ["ignore", "inherit", "inherit", "ipc"], serialization: "advanced" });
  const conversation = new Conversation(child);
  await conversation.started;
  return {
    pid: child.pid,
    async open(dataDir, config = {}) {
      const component = Number(await conversation.ask({ type: "open", dataDir, config }));
      const state = remoteStore(conversation, component);
      return {
        blocks: { state, pubsub: remotePubSub(conversation, component) },
        state,
        health: () => conversation.ask({ type: "health", component }).then(() => {}),
        close: () => conversation.ask({ type: "close", component }).then(() => {}),
      };
    },
    stop: () => conversation.end(() => child.disconnect()),
    kill: () => conversation.end(() => child.kill("SIGKILL")),
  };
}

const ended = { reason: "OUTCOME_UNKNOWN", message: "the process has ended", metadata: {} };

/** Questions to a process, and its answers. */
class Conversation {
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  readonly #exited: Promise<unknown>;
  /** Resolves when the process listens. */
  readonly started: Promise<unknown>;
  #ids = 0;
  #isOver: boolean = false;

  constructor(readonly child: ChildProcess) {
    this.started = this.#answerTo(0).then(unwrap);
    this.#exited = once(child, "exit").then(() => {
      for (const [id, resolve] of this.#waiting) resolve({ id, error: ended });
    });
    child.on("message", (answer: Answer) => {
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    });
  }

  nextId(): number {
    return ++this.#ids;
  }

  #answerTo(id: number): Promise<Answer> {
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
    });
  }

  async ask(question: WithoutId<Question>, signal?: AbortSignal): Promise<unknown> {
    signal?.throwIfAborted();
    return this.tryAsk(question, signal);
  }

  /** The same for what may be asked with a signal that has aborted. */
  async tryAsk(question: WithoutId<Question>, signal?: AbortSignal): Promise<unknown> {
    if (this.#isOver) throw new ComponentError("OUTCOME_UNKNOWN", ended.message);
    const id = this.nextId();
    const abort = () => this.tell({ type: "abort", call: id });
    signal?.addEventListener("abort", abort);
    const answered = this.#answerTo(id);
    this.child.send({ ...question, id });
    if (signal?.aborted) abort();
    const answer = await answered;
    signal?.removeEventListener("abort", abort);
    return unwrap(answer, signal);
  }

  tell(message: Abort): void {
    this.child.send(message);
  }

  async end(end: () => void): Promise<void> {
    this.#isOver = true;
    end();
    await this.#exited;
  }
}

function remoteStore(conversation: Conversation, component: number): StateStore {
  const call = (method: Calls["state"]) => callOf(conversation, component, "state", method) as never;
  return {
    features: ["TRANSACT", "WATCH", "TTL", "OUTBOX"],
    durability: "HOST",
    get: call("get"),
    getMany: call("getMany"),
    write: call("write"),
    list: call("list"),
    async *watch({ signal, ...call }) {
      if (signal.aborted) return;
      const watch = conversation.nextId();
      const abort = () => conversation.tell({ type: "abort", call: watch });
      signal.addEventListener("abort", abort);
      try {
        for (;;) {
          const next = await conversation.ask({ type: "next", component, watch, call });
          const { value, done } = next as IteratorResult<never>;
          if (done === true) return;
          yield value;
        }
      } finally {
        signal.removeEventListener("abort", abort);
        await conversation.ask({ type: "return", watch });
      }
    },
  };
}

function callOf(conversation: Conversation, component: number, block: keyof Calls, method: Calls[keyof Calls]) {
  return ({ signal, ...call }: { signal?: AbortSignal }) =>
    conversation.ask({ type: "call", component, block, method, call }, signal);
}

function remotePubSub(conversation: Conversation, component: number): PubSub {
  const call = (method: Calls["pubsub"]) => callOf(conversation, component, "pubsub", method) as never;
  const publish = callOf(conversation, component, "pubsub", "publish");
  return {
    features: ["ORDERED", "DELAY", "REPLAY", "DEDUP", "TTL"],
    durability: "HOST",
    maxEventBytes: pubsubLimits.maxEventBytes,
    async publish(call) {
      const outcomes = (await publish(call)) as PublishOutcome[];
      return outcomes.map((outcome) =>
        outcome.type === "failed" ? { ...outcome, error: toComponentError(outcome.error) } : outcome,
      );
    },
    openGroup: call("openGroup"),
    settingsOf: call("settingsOf"),
    backlog: call("backlog"),
    deleteGroup: call("deleteGroup"),
    listDeadLetters: call("listDeadLetters"),
    requeueDeadLetters: call("requeueDeadLetters"),
    dropDeadLetters: call("dropDeadLetters"),
    consume(group): DeliverySource {
      const source = conversation.nextId();
      const ask = (method: keyof DeliverySource, given: readonly unknown[], signal?: AbortSignal) =>
        conversation.tryAsk({ type: "source", component, source, group, method, given }, signal) as never;
      return {
        receive: ({ signal, ...call }) => ask("receive", [call], signal),
        settle: (settlements) => ask("settle", [settlements]),
        extend: (handles, leaseMs) => ask("extend", [handles, leaseMs]),
        close: () => ask("close", []),
      };
    },
  };
}

function toComponentError({ reason, message, metadata }: ComponentError): ComponentError {
  return new ComponentError(reason, message, { metadata: { ...metadata } });
}

function unwrap(answer: Answer, signal?: AbortSignal): unknown {
  if ("value" in answer) return answer.value;
  if ("aborted" in answer) throw signal?.reason;
  const { reason, message, metadata } = answer.error;
  if (reason === undefined) throw new Error(message);
  throw new ComponentError(reason as Reason, message, { metadata: metadata as Record<string, string> });
}
