import type { Logger } from "@mecha/component";
import { ClientClosedError, ClientOfflineError, ErrorReply, RESP_TYPES } from "@redis/client";
import type { ServerFacts } from "./admission.js";
import { type Client, explain } from "./client.js";
import type { Command, Reply, SendOptions } from "./command.js";
import type { ConnectOptions, Endpoint } from "./config.js";
import { Abandoned, NoReply } from "./failures.js";
import { open } from "./opening.js";
import { Pending, type Waiting } from "./pending.js";
import { timeout } from "./timeout.js";

/** How long commands wait for a connection that has just broken, before they fail at once. */
const graceMs = 1000;
/** How often aborted callers and a silent server are looked for. */
const tickMs = 50;
const backoffMs = { first: 20, longest: 2000 };

const binaryReplies = { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } };
const textReplies = {};

/**
 * One connection to one server, kept up: it comes back by itself (backoff with jitter) and looks the server over each time. Nothing is
 * queued while it is away: beyond a short grace a command fails at once. Every command is answered: a server that says
 * nothing for `commandTimeoutMs` while commands wait is given up, with all that waits.
 */
export class Connection {
  readonly endpoint: Endpoint;
  readonly #options: ConnectOptions;
  readonly #logger: Logger;
  readonly #pending = new Pending();
  readonly #watchdog: NodeJS.Timeout;
  /** Set while the connection is ready. */
  #client: Client | undefined;
  #facts: ServerFacts | undefined;
  #lose: (error: Error) => void = () => {};
  #lost: Promise<unknown> = Promise.resolve();
  #awaySince = performance.now();
  #nextAttempt = 0;
  #lastError: Error | undefined;
  #wakeWaiting: () => void = () => {};
  #ready: Promise<void>;
  #stopBackoff: () => void = () => {};
  #closed: boolean = false;
  #answersSeen = 0;
  #silentTicks = 0;
  #idleTicks = 0;

  constructor(endpoint: Endpoint, options: ConnectOptions, logger: Logger) {
    this.endpoint = endpoint;
    this.#options = options;
    this.#logger = logger;
    this.#ready = this.#untilReady();
    this.#watchdog = setInterval(() => this.#watch(), tickMs).unref();
  }

  /** Connects once, and from then on keeps the connection up; rejects with why the first attempt failed. */
  async start(): Promise<this> {
    try {
      await this.#open();
    } catch (error) {
      await this.close();
      throw error;
    }
    void this.#keepUp();
    return this;
  }

  /** As {@link start}, but does not wait for the first attempt: commands do. */
  startLater(): this {
    void this.#keepUp(0);
    return this;
  }

  /** What is known of the server; undefined until it was connected once. */
  get facts(): ServerFacts | undefined {
    return this.#facts;
  }

  get isReady(): boolean {
    return this.#client !== undefined;
  }

  /** How long the connection has been away, in ms; 0 while it is up. */
  get awayMs(): number {
    return this.#client === undefined ? performance.now() - this.#awaySince : 0;
  }

  /** Sends a command; rejects with Redis' ErrorReply or, if there was no answer, {@link NoReply} or {@link Abandoned}. */
  send(command: Command, options: SendOptions = {}): Promise<Reply> {
    const client = this.#client;
    if (client === undefined) return this.#sendWhenReady(command, options);
    const { signal } = options;
    if (signal?.aborted === true) return Promise.reject(new Abandoned(signal.reason, false));
    const args = typeof command === "function" ? command(this.#facts?.runId ?? "") : command;
    let bytes = 0;
    for (const arg of args) if (typeof arg !== "string") bytes += arg.length;
    if (!this.#pending.hasRoomFor(bytes)) {
      return Promise.reject(this.#noReply("too many calls wait for its answers", false));
    }
    return new Promise((resolve, reject) => {
      const giveUp = () => {
        if (signal?.aborted === true) reject(new Abandoned(signal.reason, true));
      };
      const waiting: Waiting = { bytes, giveUp: options.giveUp ?? giveUp };
      this.#pending.add(waiting);
      client.sendCommand<Reply>(args, options.binary === true ? binaryReplies : textReplies).then(
        (reply) => {
          this.#pending.settle(waiting);
          resolve(reply);
        },
        (error: Error) => {
          this.#pending.settle(waiting);
          const sent = !(error instanceof ClientClosedError || error instanceof ClientOfflineError);
          reject(error instanceof ErrorReply ? error : this.#noReply("the connection broke", sent, error));
        },
      );
    });
  }

  /** Listens to a sharded channel until the connection is lost; resolves once the server has confirmed it. */
  async subscribe(channel: string, listener: (message: string) => void): Promise<void> {
    await this.#untilGrace();
    const client = this.#client;
    if (client === undefined) throw this.#away();
    await client.sSubscribe(channel, listener);
  }

  async unsubscribe(channel: string, listener: (message: string) => void): Promise<void> {
    await this.#client?.sUnsubscribe(channel, listener);
  }

  /** Resolves when the connection that is up now is lost. */
  get lost(): Promise<unknown> {
    return this.#lost;
  }

  /** Lets what is in flight finish, then lets go. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#stopBackoff();
    this.#wakeWaiting();
    const client = this.#client;
    this.#client = undefined;
    if (client !== undefined) {
      const { over, timer } = timeout(this.#options.commandTimeoutMs);
      await Promise.race([client.close(), this.#lost, over]);
      clearTimeout(timer);
      this.#lose(new Error("closed"));
    }
    clearInterval(this.#watchdog);
  }

  async #sendWhenReady(command: Command, options: SendOptions): Promise<Reply> {
    const { signal } = options;
    await this.#untilGrace(options);
    if (signal?.aborted === true) throw new Abandoned(signal.reason, false);
    if (this.#client === undefined) throw this.#away();
    return this.send(command, options);
  }

  /** Waits for the connection to come back, but only within the grace after it was lost. */
  async #untilGrace({ signal, giveUp }: SendOptions = {}): Promise<void> {
    const leftMs = this.#awaySince + graceMs - performance.now();
    if (this.#client !== undefined || this.#closed || leftMs <= 0) return;
    if (this.#pending.isFull) return;
    let leave: () => void = () => {};
    const aborted = new Promise<void>((resolve) => {
      leave = resolve;
    });
    const giveUpOne = () => {
      if (signal?.aborted === true) leave();
    };
    const waiting: Waiting = { bytes: 0, giveUp: giveUp ?? giveUpOne };
    this.#pending.add(waiting);
    const { over, timer } = timeout(leftMs);
    await Promise.race([this.#ready, over, aborted]);
    clearTimeout(timer);
    this.#pending.delete(waiting);
  }

  #away(): NoReply {
    const cause = this.#lastError;
    return this.#noReply(
      this.#closed ? "the component is closed" : (cause?.message ?? "not connected yet"),
      false,
      cause,
    );
  }

  #noReply(why: string, sent: boolean, cause?: unknown): NoReply {
    const retryAfterMs = Math.max(100, Math.ceil(this.#nextAttempt - performance.now()));
    const { address } = this.endpoint;
    return new NoReply(
      why.includes(address) ? why : `no answer from Redis at ${address}: ${why}`,
      sent,
      retryAfterMs,
      cause,
    );
  }

  #untilReady(): Promise<void> {
    return new Promise((resolve) => {
      this.#wakeWaiting = resolve;
    });
  }

  /** Connects again, for as long as the component lives. */
  async #keepUp(firstDelayMs = backoffMs.first): Promise<void> {
    let delayMs = firstDelayMs;
    while (!this.#closed) {
      if (this.#client !== undefined) {
        await this.#lost;
        delayMs = backoffMs.first;
        continue;
      }
      await this.#pause(delayMs / 2 + Math.random() * (delayMs / 2));
      delayMs = Math.min(Math.max(delayMs * 2, backoffMs.first), backoffMs.longest);
      if (this.#closed) return;
      try {
        await this.#open();
      } catch (error) {
        this.#lastError = error instanceof Error ? error : new Error(String(error));
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

  /** One attempt; what it opened is the connection until it is lost. */
  async #open(): Promise<void> {
    const { client, facts, lost, lose } = await open(this.endpoint, this.#options);
    this.#facts = facts;
    this.#client = client;
    this.#lose = lose;
    this.#silentTicks = 0;
    this.#lost = lost.then((error) => this.#onLost(client, error));
    if (this.#lastError !== undefined) {
      this.#logger.info("connected to Redis again", { address: this.endpoint.address });
    }
    this.#lastError = undefined;
    this.#wakeWaiting();
    if (this.#closed) lose(new Error("closed"));
  }

  #onLost(client: Client, error: Error): void {
    this.#client = undefined;
    this.#ready = this.#untilReady();
    this.#awaySince = performance.now();
    client.destroy();
    if (this.#closed) return;
    const { address } = this.endpoint;
    this.#lastError = explain(error, address);
    this.#logger.warn("lost the connection to Redis", { address, error: this.#lastError.message });
  }

  /** Gives up callers that have gone, and a server that has gone silent. */
  #watch(): void {
    this.#pending.giveUp();
    if (this.#client === undefined) return;
    // Counted in ticks, not in time: while this process itself is stopped or busy, answers wait unread, and only one tick passes.
    const limit = this.#options.commandTimeoutMs / tickMs;
    const heard = this.#pending.answers !== this.#answersSeen;
    this.#answersSeen = this.#pending.answers;
    const waiting = this.#pending.size > 0;
    this.#silentTicks = waiting && !heard ? this.#silentTicks + 1 : 0;
    this.#idleTicks = waiting || heard ? 0 : this.#idleTicks + 1;
    if (this.#silentTicks > limit) this.#lose(new Error(`it said nothing for ${this.#options.commandTimeoutMs} ms`));
    // Find out whether the other side is still there before somebody needs it.
    if (this.#idleTicks > limit) this.send(["PING"]).catch(() => {});
  }
}
