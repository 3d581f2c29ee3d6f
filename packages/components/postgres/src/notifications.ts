import { randomBytes } from "node:crypto";
import { Client, type ClientConfig } from "pg";
import { backoffMs } from "./backoff.js";

/** How long notices of one channel are gathered before one more is sent, in ms. */
const gatherMs = 10;

/** Called when something happened, with what the notice says; and without, whenever something may have been missed. */
type Listener = (notice?: string) => void;

/**
 * Tells other runtimes that something happened, and is told by them; hardly ever what: who is woken reads it from the tables. NOTIFY within a
 * transaction makes all commits of the server wait for one another, so for what happens often it is sent after commits, on its own, once for
 * all that came together. That may be lost (a crash, a broken connection): whoever listens must look by himself now and then.
 */
export class Notifications {
  readonly #options: ClientConfig;
  readonly #send: (channel: string, sender: string) => Promise<unknown>;
  /** Marks what was sent from here, for nobody needs to be told of his own doing. */
  readonly #self = randomBytes(6).toString("hex");
  readonly #listeners = new Map<string, Set<Listener>>();
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

  /** Calls back from now on, for the first time when it listens. Returns how to end it. */
  listen(channel: string, callback: Listener): () => void {
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
    const client = this.#client;
    if (client === undefined) {
      if (!this.#connecting) void this.#connect(0);
      return;
    }
    // If that fails the connection is lost, and all channels are listened to on the next one.
    client.query(`LISTEN ${channel}`).then(
      () => this.#wake(channel),
      () => {},
    );
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
      if (payload !== this.#self) this.#wake(channel, payload);
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

  #wake(channel: string, notice?: string): void {
    for (const callback of this.#listeners.get(channel) ?? []) callback(notice);
  }
}
