import { randomUUID } from "node:crypto";
import { Socket } from "node:net";
import { type Logger, type Upheld, Upkeep } from "@mecha/component";
import { type Channel, type ChannelModel, type ConfirmChannel, connect, type Message, type Options } from "amqplib";
import { addressOf, type RabbitmqConfig } from "./config.js";
import { explain, NoAnswer, toComponentError, unavailable } from "./errors.js";

/** One connection of the client library, from when it is made until it is lost. */
export interface Live extends Upheld {
  readonly model: ChannelModel;
  /** What everybody publishes on. */
  readonly publisher: ConfirmChannel;
}

/** What is to be published. */
export interface Outgoing {
  readonly exchange: string;
  readonly routingKey: string;
  readonly content: Uint8Array;
  readonly options?: Options.Publish;
  readonly signal?: AbortSignal | undefined;
}

/** An event that waits for the broker's confirmation. */
interface Pending {
  readonly bytes: number;
  readonly signal: AbortSignal | undefined;
  /** In ticks of the watchdog. */
  readonly deadline: number;
  isReturned: boolean;
  resolve(isRouted: boolean): void;
  reject(error: unknown): void;
}

/** How much may wait for confirmations; more fails at once, so that a broker that hangs or blocks publishers costs bounded memory. */
const maxPending = 25_000;
const maxPendingBytes = 256 * 1024 * 1024;
/** How often aborted callers and confirmations that are overdue are looked for. */
const tickMs = 50;
/** After two of these without a word the connection is given up, in seconds. */
const heartbeatSeconds = 5;

/** A connection that is kept up, and what it publishes with confirmations. */
export class Connection {
  readonly #config: RabbitmqConfig;
  readonly #name: string;
  readonly #pending = new Map<string, Pending>();
  readonly #watchdog: NodeJS.Timeout;
  #upkeep: Upkeep<Live> | undefined;
  #pendingBytes = 0;
  #count = 0;
  #tick = 0;

  private constructor(config: RabbitmqConfig, name: string) {
    this.#config = config;
    this.#name = name;
    this.#watchdog = setInterval(() => this.#watch(), tickMs).unref();
  }

  /** Connects, and from then on keeps the connection up; rejects with why the first attempt failed. */
  static async open(config: RabbitmqConfig, name: string, logger: Logger): Promise<Connection> {
    const connection = new Connection(config, name);
    try {
      connection.#upkeep = await Upkeep.start({
        peer: `RabbitMQ at ${addressOf(config.url)}`,
        logger,
        open: () => connection.#open(),
        close: (live) => letGo(live, config.requestTimeoutMs),
      });
      return connection;
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  /** The connection that is up, once it is; rejects with UNAVAILABLE if it does not come back within the grace. */
  ready(signal?: AbortSignal): Promise<Live> {
    if (this.#upkeep === undefined) throw new Error("the connection was not opened");
    return this.#upkeep.ready(signal);
  }

  /** A channel of one's own. What goes wrong on it fails the operation that it happened to. */
  async channel(signal?: AbortSignal): Promise<Channel> {
    const { model } = await this.ready(signal);
    const channel = await model.createChannel();
    channel.on("error", () => {}); // Told to the operation, too.
    return channel;
  }

  /** Does something on a channel that is closed afterwards; what was taken on it and not settled goes back. */
  async use<T>(act: (channel: Channel) => Promise<T>): Promise<T> {
    let channel: Channel | undefined;
    try {
      channel = await this.channel();
      return await act(channel);
    } catch (error) {
      throw toComponentError(error);
    } finally {
      await channel?.close().catch(() => {}); // The broker closes a channel on which something failed.
    }
  }

  /** Publishes; resolves, when the broker has it for good, with whether a queue took it. Rejects with {@link NoAnswer}. */
  async publish({ exchange, routingKey, content, options = {}, signal }: Outgoing): Promise<boolean> {
    signal?.throwIfAborted();
    const { publisher } = await this.ready(signal);
    const bytes = content.byteLength;
    if (this.#pending.size >= maxPending || this.#pendingBytes + bytes > maxPendingBytes) {
      throw new NoAnswer("too many calls wait for RabbitMQ", false, 100);
    }
    return new Promise((resolve, reject) => {
      const token = String(++this.#count);
      const deadline = this.#tick + Math.ceil(this.#config.requestTimeoutMs / tickMs);
      const pending: Pending = { bytes, signal, deadline, isReturned: false, resolve, reject };
      const confirmed = (error: unknown) => {
        if (!this.#forget(token, pending)) return;
        if (error === null || error === undefined) resolve(!pending.isReturned);
        else if (error instanceof Error && /closed/.test(error.message)) reject(this.#lost(error));
        else
          reject(unavailable("RabbitMQ did not take the event; look at its memory, its disk and its log", 1000, error));
      };
      const buffer = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
      const all = { ...options, mandatory: true, persistent: true, correlationId: token };
      publisher.publish(exchange, routingKey, buffer, all, confirmed);
      this.#pending.set(token, pending);
      this.#pendingBytes += bytes;
    });
  }

  /** Rejects with what is wrong while the broker does not answer. */
  async health(signal: AbortSignal): Promise<void> {
    await this.ready(signal);
    const gone = new Promise<never>((_, reject) => {
      signal.addEventListener("abort", () => reject(unavailable("RabbitMQ does not answer")), { once: true });
    });
    await Promise.race([this.use(async (channel) => channel.checkExchange("amq.direct")), gone]);
  }

  async close(): Promise<void> {
    clearInterval(this.#watchdog);
    await this.#upkeep?.close();
  }

  /** One attempt at each of the configured nodes. */
  async #open(): Promise<Live> {
    const failures: Error[] = [];
    for (const url of [this.#config.url, ...this.#config.servers]) {
      try {
        return await this.#openOne(url);
      } catch (error) {
        failures.push(explain(error, addressOf(url)));
      }
    }
    throw unavailable(failures.map(({ message }) => message).join("; "), 1000, failures[0]);
  }

  async #openOne(url: string): Promise<Live> {
    const { connectTimeoutMs, tls = {} } = this.#config;
    const model = await connect(resolveLogin(this.#config, url), {
      ...Object.fromEntries(Object.entries(tls).filter(([, value]) => value !== undefined)),
      timeout: connectTimeoutMs,
      noDelay: true,
      clientProperties: { connection_name: `mecha ${this.#name} ${randomUUID()}` },
    });
    const lost = new AbortController();
    let reason: unknown;
    model.on("error", (error) => {
      reason = explain(error, addressOf(url));
    });
    model.on("close", () => lost.abort(reason));
    try {
      requireBroker(model, addressOf(url));
      const publisher = await model.createConfirmChannel();
      publisher.on("return", (message) => this.#returned(message));
      publisher.on("error", () => {});
      // Without it nobody can publish: begin anew.
      publisher.on("close", () => void model.close().catch(() => {}));
      lost.signal.addEventListener("abort", () => this.#failAll(), { once: true });
      return { model, publisher, lost: lost.signal };
    } catch (error) {
      await model.close().catch(() => {});
      throw error;
    }
  }

  /** No queue took it. It comes before the confirmation. */
  #returned({ properties }: Message): void {
    const pending = this.#pending.get(String(properties.correlationId));
    if (pending !== undefined) pending.isReturned = true;
  }

  #lost(cause?: unknown): NoAnswer {
    return new NoAnswer("the connection to RabbitMQ broke", true, this.#upkeep?.retryAfterMs ?? 100, cause);
  }

  #forget(token: string, pending: Pending): boolean {
    if (!this.#pending.delete(token)) return false;
    this.#pendingBytes -= pending.bytes;
    return true;
  }

  #failAll(): void {
    for (const [token, pending] of this.#pending) {
      this.#forget(token, pending);
      pending.reject(this.#lost());
    }
  }

  /** Gives up callers that have gone, and confirmations that are overdue. A broker that hangs is noticed by its heartbeats. */
  #watch(): void {
    // Counted in ticks, not in time: while this process itself is stopped or busy, answers wait unread, and only one tick passes.
    this.#tick += 1;
    for (const [token, pending] of this.#pending) {
      const isGone = pending.signal?.aborted === true;
      if (!isGone && pending.deadline >= this.#tick) continue;
      this.#forget(token, pending);
      const why = isGone
        ? "the caller's time was up before RabbitMQ confirmed"
        : `RabbitMQ did not confirm within ${this.#config.requestTimeoutMs} ms`;
      pending.reject(new NoAnswer(why, true, 1000, pending.signal?.reason));
    }
  }
}

/** A configuration's own username, password and vhost come before those in the URL. */
function resolveLogin({ url: first, username, password, vhost }: RabbitmqConfig, url: string): Options.Connect {
  const { protocol, hostname, port, pathname } = new URL(url);
  const login = new URL(first);
  return {
    protocol: protocol.slice(0, -1),
    hostname: hostname.replace(/^\[|\]$/g, ""),
    ...(port !== "" && { port: Number(port) }),
    username: username ?? (decodeURIComponent(login.username) || "guest"),
    password: password ?? (decodeURIComponent(login.password) || "guest"),
    vhost: vhost ?? (decodeURIComponent(pathname.slice(1)) || "/"),
    heartbeat: heartbeatSeconds,
  };
}

/** Closes a connection in good order, or, if the broker does not answer in time, at once. */
async function letGo({ model, lost }: Live, timeoutMs: number): Promise<void> {
  const { promise: over, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, timeoutMs);
  lost.addEventListener("abort", () => resolve(), { once: true });
  await Promise.race([model.close().catch(() => {}), over]); // It rejects when it is closed already.
  clearTimeout(timer);
  // The client library has no word for it, and would wait for ever for a broker that dies while it says goodbye.
  const stream: unknown = Reflect.get(model.connection, "stream");
  if (stream instanceof Socket) stream.destroy();
}

/** Refuses a broker that would break a promise. */
function requireBroker({ connection }: ChannelModel, address: string): void {
  const { product, version } = connection.serverProperties;
  const [major = 0, minor = 0] = String(version).split(".").map(Number);
  if (String(product) !== "RabbitMQ") throw unavailable(`what answers at ${address} is ${product}, not RabbitMQ`);
  if (major < 3 || (major === 3 && minor < 10)) {
    throw unavailable(
      `RabbitMQ at ${address} is version ${version}; 3.10 or later is needed (message TTL in quorum queues)`,
    );
  }
}
