import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { type Component, ComponentError, type Reason, type StateStore } from "@mecha/component";
import type { Abort, Answer, Question } from "./remote-protocol.ts";

type WithoutId<T> = T extends { id: number } ? Omit<T, "id"> : never;

export interface RemoteOptions {
  readonly config?: object;
  /** A command that starts the command it is given: `["nice"]`. */
  readonly within?: readonly string[];
  /** The user id that the process takes on. */
  readonly user?: number;
}

/** A component of another process, and that process. */
export interface RemoteComponent extends Component {
  readonly state: StateStore;
  readonly pid: number | undefined;
  /** Ends the process at once. What was asked and not answered fails with OUTCOME_UNKNOWN. */
  kill(): Promise<void>;
}

/** Starts the component in another process and gives it out as if it were in this one. */
export async function startRemoteComponent(dataDir: string, options: RemoteOptions = {}): Promise<RemoteComponent> {
  const { config = {}, within = [], user = "" } = options;
  const path = fileURLToPath(new URL("./remote-process.ts", import.meta.url));
  const [command, ...args] = [...within, process.execPath, path, dataDir, JSON.stringify(config), String(user)];
  const child = spawn(command, args, { stdio: ["ignore", "inherit", "inherit", "ipc"], serialization: "advanced" });
  const remote = new Remote(child);
  await remote.started;
  return {
    blocks: { state: remote.store },
    state: remote.store,
    pid: child.pid,
    health: () => remote.ask({ type: "health" }).then(() => {}),
    close: () => remote.ask({ type: "close" }).then(() => remote.stop()),
    kill: () => remote.kill(),
  };
}

const killed = { reason: "OUTCOME_UNKNOWN", message: "the process has ended", metadata: {} };

class Remote {
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  readonly #exited: Promise<unknown>;
  /** Resolves when the component serves. */
  readonly started: Promise<unknown>;
  #ids = 0;
  #stopped: boolean = false;

  constructor(readonly child: ChildProcess) {
    this.started = this.#answerTo(0).then(unwrap);
    this.#exited = once(child, "exit").then(() => {
      for (const [id, resolve] of this.#waiting) resolve({ id, error: killed });
    });
    child.on("message", (answer: Answer) => {
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    });
  }

  #answerTo(id: number): Promise<Answer> {
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
    });
  }

  async ask(question: WithoutId<Question>, signal?: AbortSignal): Promise<unknown> {
    if (this.#stopped) throw new ComponentError("COMPONENT_UNAVAILABLE", "the process has stopped");
    signal?.throwIfAborted();
    const id = ++this.#ids;
    const abort = () => this.child.send({ type: "abort", call: id } satisfies Abort);
    signal?.addEventListener("abort", abort);
    const answered = this.#answerTo(id);
    this.child.send({ ...question, id });
    const answer = await answered;
    signal?.removeEventListener("abort", abort);
    return unwrap(answer, signal);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.child.disconnect();
    await this.#exited;
  }

  async kill(): Promise<void> {
    this.#stopped = true;
    this.child.kill("SIGKILL");
    await this.#exited;
  }

  get store(): StateStore {
    const call = (method: "get" | "getMany" | "write" | "list") =>
      (({ signal, ...call }: { signal?: AbortSignal }) => this.ask({ type: "call", method, call }, signal)) as never;
    return {
      features: ["TRANSACT", "WATCH", "TTL"],
      durability: "HOST",
      get: call("get"),
      getMany: call("getMany"),
      write: call("write"),
      list: call("list"),
      watch: ({ signal, ...call }) => this.#watch(signal, call),
    };
  }

  async *#watch(signal: AbortSignal, call: object): AsyncGenerator<never> {
    const watch = ++this.#ids;
    const abort = () => this.child.send({ type: "abort", call: watch } satisfies Abort);
    signal.addEventListener("abort", abort);
    if (signal.aborted) return;
    try {
      for (;;) {
        const { value, done } = (await this.ask({ type: "next", watch, call })) as IteratorResult<never>;
        if (done === true) return;
        yield value;
      }
    } finally {
      signal.removeEventListener("abort", abort);
      if (!this.#stopped) await this.ask({ type: "return", watch });
    }
  }
}

function unwrap(answer: Answer, signal?: AbortSignal): unknown {
  if ("value" in answer) return answer.value;
  if ("aborted" in answer) throw signal?.reason;
  const { reason, message, metadata } = answer.error;
  if (reason === undefined) throw new Error(message);
  throw new ComponentError(reason as Reason, message, { metadata: metadata as Record<string, string> });
}
