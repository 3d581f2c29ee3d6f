import { randomUUID } from "node:crypto";
import type { ComponentError, Logger } from "@mecha/component";
import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { connect, type Msg, type MsgHdrs, type NatsConnection } from "@nats-io/transport-node";
import type { Dialing } from "./dialing.js";
import { explain, NoAnswer, unavailable } from "./errors.js";

/** One connection of the client library, from when it is made until it is lost. */
export interface Live {
  readonly nc: NatsConnection;
  readonly jsm: JetStreamManager;
  /** Aborts when it is lost. */
  readonly lost: AbortSignal;
}

/** A request that waits for its answer. */
interface Pending {
  readonly bytes: number;
  readonly signal: AbortSignal | undefined;
  /** In ticks of the watchdog. */
  readonly deadline: number;
  resolve(message: Msg): void;
  reject(error: unknown): void;
}

/** How many requests may wait for their answers; more fail at once, so that a hanging server costs bounded memory. */
const maxPending = 25_000;
const maxPendingBytes = 256 * 1024 * 1024;
/** How long calls wait for a connection that has just broken, before they fail at once. */
const graceMs = 1_000;
/** How often aborted callers and answers that are overdue are looked for. */
const tickMs = 50;
const backoffMs = { first: 20, longest: 2_000 };

/**
 * A connection that is kept up: it comes back by itself (backoff with jitter). The client library neither reconnects nor queues: nothing waits
 * while the server is away, beyond a short grace, and what was sent and not answered when it was lost is known to be so.
 */
export class Connection {
  readonly #dialing: Dialing;
  readonly #logger: Logger;
  /** What the subjects of answers begin with. */
  readonly inbox = `_INBOX.mecha.${randomUUID()}`;
  readonly #pending = new Map<string, Pending>();
  readonly #watchdog: NodeJS.Timeout;
  #pendingBytes = 0;
  #token = 0;
  #tick = 0;
  #live: Live | undefined;
  #lose: () => void = () => {};
  #awaySince = performance.now();
  #nextAttempt = 0;
  #lastError: ComponentError | undefined;
  #ready = Promise.withResolvers<void>();
  #stopBackoff: () => void = () => {};
  #flushing: Promise<void> | undefined;
  #closed: boolean = false;
  readonly #listeners = new Map<string, (message: Msg) => void>();

  private constructor(dialing: Dialing, logger: Logger) {
    this.#dialing = dialing;
    this.#logger = logger;
    this.#watchdog = setInterval(() => this.#watch(), tickMs).unref();
  }

  /** Connects, and from then on keeps the connection up; rejects with why the first attempt failed. */
  static async open(dialing: Dialing, logger: Logger): Promise<Connection> {
    const connection = new Connection(dialing, logger);
    try {
      await connection.#open();
    } catch (error) {
      await connection.close();
      throw error;
    }
    void connection.#keepUp();
    return connection;
  }

  /** The connection that is up now, if there is one. */
  get live(): Live | undefined {
    return this.#live;
  }

  /** The connection that is up, once it is; rejects with UNAVAILABLE if it does not come back within the grace. */
  async ready(signal?: AbortSignal): Promise<Live> {
    if (this.#live !== undefined) return this.#live;
    const leftMs = this.#awaySince + graceMs - performance.now();
    if (leftMs > 0 && !this.#closed) await untilAny(this.#ready.promise, leftMs, signal);
    signal?.throwIfAborted();
    if (this.#live !== undefined) return this.#live;
    throw unavailable(this.#whyAway(), this.#retryAfterMs(), this.#lastError);
  }

  /** Sends a request; rejects with {@link NoAnswer}, or with the signal's reason if it aborts before it is sent. */
  request(
    subject: string,
    payload: Uint8Array | string,
    options: { readonly headers?: MsgHdrs; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Msg> {
    const { headers, signal } = options;
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    const live = this.#live;
    if (live === undefined) return this.ready(signal).then(() => this.request(subject, payload, options));
    const bytes = payload.length;
    if (this.#pending.size >= maxPending || this.#pendingBytes + bytes > maxPendingBytes) {
      return Promise.reject(new NoAnswer("too many calls wait for NATS", false, 100));
    }
    return new Promise((resolve, reject) => {
      const token = String(++this.#token);
      const deadline = this.#tick + Math.ceil(this.#dialing.requestTimeoutMs / tickMs);
      const reply = `${this.inbox}.${token}`;
      live.nc.publish(subject, payload, headers === undefined ? { reply } : { reply, headers });
      this.#pending.set(token, { bytes, signal, deadline, resolve, reject });
      this.#pendingBytes += bytes;
    });
  }

  /** Hears what is sent to a subject, on this connection and on every one that takes its place. */
  listen(subject: string, listener: (message: Msg) => void): void {
    this.#listeners.set(subject, listener);
    this.#live?.nc.subscribe(subject, { callback: (_, message) => listener(message) });
  }

  /** Resolves when the server has read all that was published before, shared by all who ask in one turn. */
  flush(): Promise<void> {
    this.#flushing ??= Promise.resolve().then(async () => {
      this.#flushing = undefined;
      const live = this.#live;
      if (live === undefined) throw new NoAnswer(this.#whyAway(), true, this.#retryAfterMs());
      await Promise.race([live.nc.flush(), rejectWhenLost(live, () => this.#noAnswer())]);
    });
    return this.#flushing;
  }

  /** Rejects with what is wrong while JetStream does not answer. */
  async health(signal: AbortSignal): Promise<void> {
    const { nc } = await this.ready(signal);
    const answer = await this.request("$JS.API.INFO", "", { signal });
    const { error } = answer.json<{ error?: { description?: string } }>();
    if (error !== undefined) throw unavailable(`JetStream of ${nc.getServer()} does not work: ${error.description}`);
  }

  /** Lets go; what is in flight fails. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#watchdog);
    this.#stopBackoff();
    this.#ready.resolve();
    const live = this.#live;
    if (live === undefined) return;
    await live.nc.flush().catch(() => {});
    this.#lose();
    await live.nc.close();
  }

  #noAnswer(): NoAnswer {
    return new NoAnswer("the connection to NATS broke", true, this.#retryAfterMs(), this.#lastError);
  }

  #whyAway(): string {
    return this.#closed ? "the component is closed" : (this.#lastError?.message ?? "NATS is away");
  }

  #retryAfterMs(): number {
    return Math.max(100, Math.ceil(this.#nextAttempt - performance.now()));
  }

  /** Connects again, for as long as the component lives. */
  async #keepUp(): Promise<void> {
    let delayMs = backoffMs.first;
    while (!this.#closed) {
      if (this.#live !== undefined) {
        await aborted(this.#live.lost);
        delayMs = backoffMs.first;
        continue;
      }
      await this.#pause(delayMs / 2 + Math.random() * (delayMs / 2));
      delayMs = Math.min(delayMs * 2, backoffMs.longest);
      if (this.#closed) return;
      try {
        await this.#open();
      } catch (error) {
        this.#lastError = explain(error, this.#dialing.address);
      }
    }
  }

  #pause(ms: number): Promise<void> {
    this.#nextAttempt = performance.now() + ms;
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#stopBackoff = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** One attempt: connect, log in, look the server over. */
  async #open(): Promise<void> {
    const { address, requestTimeoutMs } = this.#dialing;
    let nc: NatsConnection;
    try {
      nc = await connect(this.#dialing.options);
    } catch (error) {
      throw explain(error, address);
    }
    try {
      requireServer(nc, address);
      const jsm = await jetstreamManager(nc, { timeout: requestTimeoutMs });
      nc.subscribe(`${this.inbox}.*`, { callback: (_, message) => this.#answered(message) });
      for (const [subject, listener] of this.#listeners) {
        nc.subscribe(subject, { callback: (_, message) => listener(message) });
      }
      this.#use(nc, jsm);
    } catch (error) {
      await nc.close();
      throw explain(error, address);
    }
  }

  #use(nc: NatsConnection, jsm: JetStreamManager): void {
    const lost = new AbortController();
    this.#live = { nc, jsm, lost: lost.signal };
    this.#lose = () => {
      if (lost.signal.aborted) return;
      this.#live = undefined;
      this.#awaySince = performance.now();
      this.#ready = Promise.withResolvers();
      if (this.#closed) this.#ready.resolve();
      lost.abort();
      this.#failAll();
      void nc.close();
    };
    void nc.closed().then((error) => {
      if (this.#live?.nc !== nc) return;
      const { address } = this.#dialing;
      this.#lastError = error instanceof Error ? explain(error, address) : unavailable(`NATS at ${address} is away`);
      if (!this.#closed) this.#logger.warn("lost the connection to NATS", { address, error: this.#lastError.message });
      this.#lose();
    });
    if (this.#lastError !== undefined) this.#logger.info("connected to NATS again", { address: nc.getServer() });
    this.#lastError = undefined;
    this.#ready.resolve();
    if (this.#closed) this.#lose();
  }

  #answered(message: Msg): void {
    const token = message.subject.slice(this.inbox.length + 1);
    const pending = this.#pending.get(token);
    if (pending === undefined) return;
    this.#forget(token, pending);
    pending.resolve(message);
  }

  #forget(token: string, { bytes }: Pending): void {
    this.#pending.delete(token);
    this.#pendingBytes -= bytes;
  }

  #failAll(): void {
    const error = this.#noAnswer();
    for (const [token, pending] of this.#pending) {
      this.#forget(token, pending);
      pending.reject(error);
    }
  }

  /** Gives up callers that have gone, and answers that are overdue. A server that hangs is noticed by the client library's pings. */
  #watch(): void {
    // Counted in ticks, not in time: while this process itself is stopped or busy, answers wait unread, and only one tick passes.
    this.#tick += 1;
    for (const [token, pending] of this.#pending) {
      if (pending.signal?.aborted === true) {
        this.#forget(token, pending);
        pending.reject(new NoAnswer("the caller's time was up before NATS answered", true, 100, pending.signal.reason));
      } else if (pending.deadline < this.#tick) {
        this.#forget(token, pending);
        const { requestTimeoutMs, address } = this.#dialing;
        pending.reject(new NoAnswer(`NATS at ${address} did not answer within ${requestTimeoutMs} ms`, true, 1000));
      }
    }
  }
}

/** Refuses a server that would break a promise. */
function requireServer({ info }: NatsConnection, address: string): void {
  const [major = 0, minor = 0] = (info?.version ?? "").split(".").map(Number);
  if (major < 2 || (major === 2 && minor < 9)) {
    throw unavailable(`NATS at ${address} is version ${info?.version}; 2.9 or later is needed`);
  }
  if (info?.jetstream !== true) {
    throw unavailable(`JetStream is not enabled at ${address}; start nats-server with \`-js\``);
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

async function rejectWhenLost({ lost }: Live, toError: () => Error): Promise<never> {
  await aborted(lost);
  throw toError();
}

/** Resolves when `ready` does, the time is over, or `signal` aborts. */
async function untilAny(ready: Promise<void>, ms: number, signal: AbortSignal | undefined): Promise<void> {
  const over = Promise.withResolvers<void>();
  const timer = setTimeout(over.resolve, ms);
  signal?.addEventListener("abort", () => over.resolve(), { once: true });
  await Promise.race([ready, over.promise]);
  clearTimeout(timer);
}
