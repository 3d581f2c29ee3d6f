import { randomUUID } from "node:crypto";
import { type Logger, Upkeep } from "@mecha/component";
import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { connect, type Msg, type MsgHdrs, type NatsConnection, type Subscription } from "@nats-io/transport-node";
import type { Dialing } from "./dialing.js";
import { explain, NoAnswer, type Refusal, refused, toComponentError, unavailable } from "./errors.js";

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
/** How often aborted callers and answers that are overdue are looked for. */
const tickMs = 50;

/**
 * A connection that is kept up. The client library neither reconnects nor queues: nothing waits while the server is away, and what was sent and
 * not answered when it was lost is known to be so.
 */
export class Connection {
  readonly #dialing: Dialing;
  /** What the subjects of answers begin with. */
  readonly inbox = `_INBOX.mecha.${randomUUID()}`;
  readonly #pending = new Map<string, Pending>();
  readonly #listeners = new Map<string, (message: Msg) => void>();
  /** What the connection that is up listens to. */
  #heard: Subscription[] = [];
  readonly #watchdog: NodeJS.Timeout;
  #upkeep: Upkeep<Live> | undefined;
  #pendingBytes = 0;
  #token = 0;
  #tick = 0;
  #flush: Promise<void> | undefined;
  /** Those that wait for the server. */
  readonly #flushes = new Set<(error: Error) => void>();

  private constructor(dialing: Dialing) {
    this.#dialing = dialing;
    this.#watchdog = setInterval(() => this.#watch(), tickMs).unref();
  }

  /** Connects, and from then on keeps the connection up; rejects with why the first attempt failed. */
  static async open(dialing: Dialing, logger: Logger): Promise<Connection> {
    const connection = new Connection(dialing);
    try {
      connection.#upkeep = await Upkeep.start({
        peer: `NATS at ${dialing.address}`,
        logger,
        open: () => connection.#open(),
        close: ({ nc }) => nc.close(),
      });
      return connection;
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  /** The connection that is up now, if there is one. */
  get live(): Live | undefined {
    return this.#upkeep?.live;
  }

  /** The connection that is up, once it is; rejects with UNAVAILABLE if it does not come back within the grace. */
  ready(signal?: AbortSignal): Promise<Live> {
    if (this.#upkeep === undefined) throw new Error("the connection was not opened");
    return this.#upkeep.ready(signal);
  }

  /** Sends a request; rejects with {@link NoAnswer}, or with the signal's reason if it aborts before it is sent. */
  request(
    subject: string,
    payload: Uint8Array | string,
    options: { readonly headers?: MsgHdrs; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Msg> {
    const { headers, signal } = options;
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    const { live } = this;
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
    if (this.live !== undefined) this.#hear(this.live.nc, subject, listener);
  }

  /** Resolves when the server has read all that was published before, shared by all who ask in one turn. */
  flush(): Promise<void> {
    this.#flush ??= new Promise((resolve, reject) => {
      queueMicrotask(() => {
        this.#flush = undefined;
        const { live } = this;
        if (live === undefined) return reject(this.#noAnswer());
        this.#flushes.add(reject);
        const done = () => this.#flushes.delete(reject);
        live.nc.flush().then(resolve, reject).finally(done);
      });
    });
    return this.#flush;
  }

  /** Rejects with what is wrong while JetStream does not answer. */
  async health(signal: AbortSignal): Promise<void> {
    await this.ready(signal);
    try {
      const answer = await this.request("$JS.API.INFO", "", { signal });
      const { error } = answer.json<{ error?: Refusal }>();
      if (error !== undefined) throw refused(error);
    } catch (error) {
      throw toComponentError(error);
    }
  }

  /** Sends what is to be sent, and lets go. */
  async close(): Promise<void> {
    clearInterval(this.#watchdog);
    // Whoever asks from now on is told at once that nobody is here, and need not wait until the server finds the connection gone.
    if (this.live !== undefined) for (const subscription of this.#heard) subscription.unsubscribe();
    await this.live?.nc.flush().catch(() => {}); // If it broke meanwhile it is let go all the same.
    await this.#upkeep?.close();
  }

  #noAnswer(): NoAnswer {
    return new NoAnswer("the connection to NATS broke", true, this.#upkeep?.retryAfterMs ?? 100);
  }

  /** One attempt: connect, log in, look the server over. */
  async #open(): Promise<Live> {
    const { address, requestTimeoutMs, options } = this.#dialing;
    let nc: NatsConnection | undefined;
    try {
      nc = await connect(options);
      requireServer(nc, address);
      const jsm = await jetstreamManager(nc, { timeout: requestTimeoutMs });
      nc.subscribe(`${this.inbox}.*`, { callback: (_, message) => this.#answered(message) });
      this.#heard = [];
      for (const [subject, listener] of this.#listeners) this.#hear(nc, subject, listener);
      const lost = new AbortController();
      void nc.closed().then((error) => {
        lost.abort(error instanceof Error ? explain(error, address) : undefined);
        this.#failAll();
      });
      return { nc, jsm, lost: lost.signal };
    } catch (error) {
      await nc?.close();
      throw explain(error, address);
    }
  }

  #hear(nc: NatsConnection, subject: string, listener: (message: Msg) => void): void {
    this.#heard.push(nc.subscribe(subject, { callback: (_, message) => listener(message) }));
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
    for (const reject of this.#flushes) reject(error);
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
