import { randomBytes } from "node:crypto";
import { Client, type ClientConfig } from "pg";
import { backoffMs } from "./backoff.js";

/** How long notices of one channel are gathered before one more is sent, in ms. */
const gatherMs = 10;

/**
 * Tells other runtimes that something happened, and is told by them; never what: who is woken reads it from the tables. NOTIFY within a
 * transaction makes all commits of the server wait for one another, so it is sent after commits, on its own, once for all that came
 * together. It may be lost (a crash, a broken connection): whoever listens must look by himself now and then.
 */
export class Notifications {
  readonly #options: ClientConfig;
  readonly #send: (channel: string, sender: string) => Promise<unknown>;
  /** Marks what was sent from here, for nobody needs to be told of his own doing. */
  readonly #self = randomBytes(6).toString("hex");
  readonly #listeners = new Map<string, Set<() => void>>();
  /** The channels of the notices that were sent just now, and whether one more has to follow. */
  readonly #gathering = new Map<string, boolean>();
  #client: Client | undefined;
  #connecting: boolean = false;
  #retry: NodeJS.Timeout | undefined;
  #closed: boolean = false;

  constructor(options: ClientConfig, send: (channel: string, sender: string) => Promise<unknown>) {
    // Nothing that is sent here takes long; a server that hangs is tried again.
    this.#options = { ...options, query_timeout: options.connectionTimeoutMillis };
    this.#send = send;
  }

  /** Calls back when something happened, and whenever something may have been missed. Returns how to end it. */
  listen(channel: string, callback: () => void): () => void {
    const callbacks = this.#listeners.get(channel) ?? new Set();
    callbacks.add(callback);
    this.#listeners.set(channel, callbacks);
    if (callbacks.size === 1) this.#subscribe(channel);
    return () => callbacks.delete(callback);
  }

  /** Sends a notice soon; without waiting for it, since it may be lost anyway. */
  notify(channel: string): void {
    const isGathering = this.#gathering.has(channel);
    this.#gathering.set(channel, isGathering);
    if (isGathering) return;
    void this.#send(channel, this.#self).catch(() => {});
    setTimeout(() => {
      const again = this.#gathering.get(channel) === true;
      this.#gathering.delete(channel);
      if (again && !this.#closed) this.notify(channel);
    }, gatherMs);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    const client = this.#client;
    this.#client = undefined;
    await client?.end();
  }

  #subscribe(channel: string): void {
    if (this.#client !== undefined) void this.#client.query(`LISTEN ${channel}`).catch(() => {});
    else if (!this.#connecting) void this.#connect(0);
  }

  async #connect(attempt: number): Promise<void> {
    this.#connecting = true;
    const client = new Client(this.#options);
    let isLost = false;
    const lose = () => {
      if (isLost) return;
      isLost = true;
      if (this.#client === client) this.#client = undefined;
      client.end().catch(() => {});
      if (!this.#closed) this.#retry = setTimeout(() => void this.#connect(attempt + 1), backoffMs(attempt)).unref();
    };
    client.on("error", lose);
    client.on("end", lose);
    client.on("notification", ({ channel, payload }) => {
      if (payload !== this.#self) this.#wake(channel);
    });
    try {
      await client.connect();
      for (const channel of this.#listeners.keys()) await client.query(`LISTEN ${channel}`);
    } catch {
      lose();
      return;
    }
    if (this.#closed) return void client.end().catch(() => {});
    attempt = 0;
    this.#client = client;
    this.#connecting = false;
    for (const channel of this.#listeners.keys()) this.#wake(channel);
  }

  #wake(channel: string): void {
    for (const callback of this.#listeners.get(channel) ?? []) callback();
  }
}
