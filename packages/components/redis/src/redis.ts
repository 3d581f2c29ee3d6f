import { ComponentError, type Durability, type Logger } from "@mecha/component";
import type { Argument, Command, Reply, SendOptions } from "./command.js";
import { type ConnectOptions, type Endpoint, tcpEndpoint } from "./config.js";
import { Connection } from "./connection.js";
import { kindOf, NoReply, toComponentError } from "./failures.js";
import { type Script, scriptCommand } from "./script.js";
import { timeout } from "./timeout.js";

/** What every command says about itself. */
export interface CommandOptions extends SendOptions {
  /**
   * What its keys have in common: their hash tag, or the key itself. Commands of one route go to one server, in the order in which
   * they were sent.
   */
  readonly route: string;
  /** For a write: whether sending it twice does it once. */
  readonly repeatable?: boolean;
}

/** How often one command follows a redirection or outlives a broken connection before its caller hears of it. */
const maxAttempts = 5;
/** How long a node of a cluster may be away before it is taken to have left. */
const forgetAfterMs = 60_000;

interface Node {
  readonly commands: Connection;
  /** Made when somebody listens. */
  events: Connection | undefined;
}

/**
 * A Redis server or a Redis Cluster, for all the blocks of a component. Of a cluster it learns where a route's slot is by being
 * told: any node answers MOVED with the right address, which is then remembered until that node is away. Failures are
 * ComponentErrors; reads survive a connection that breaks and comes back at once.
 */
export class Redis {
  readonly #options: ConnectOptions;
  readonly #logger: Logger;
  readonly #nodes = new Map<string, Node>();
  readonly #routes = new Map<string, string>();
  #inFlight = 0;
  #onIdle: () => void = () => {};
  #closing: boolean = false;

  private constructor(options: ConnectOptions, logger: Logger) {
    this.#options = options;
    this.#logger = logger;
  }

  /** Connects to the first of the configured servers that answers and, in a cluster, to all of its primaries. */
  static async connect(options: ConnectOptions, logger: Logger): Promise<Redis> {
    const redis = new Redis(options, logger);
    const failures: unknown[] = [];
    for (const seed of options.seeds) {
      try {
        const first = await new Connection(seed, options, logger).start();
        redis.#nodes.set(seed.address, { commands: first, events: undefined });
        if (first.facts?.cluster === true) await redis.#connectPrimaries(first);
        return redis;
      } catch (error) {
        failures.push(error);
      }
    }
    await redis.close();
    const [failure] = failures;
    if (failure instanceof ComponentError) throw failure;
    const words = failures.map((error) => (error instanceof Error ? error.message : String(error))).join("; ");
    throw new ComponentError("COMPONENT_UNAVAILABLE", words, { cause: failure });
  }

  /** What an answered write survives: the least of all servers. */
  get durability(): Durability {
    const all = [...this.#nodes.values()].map(({ commands }) => commands.facts?.durability);
    return all.includes("PROCESS") ? "PROCESS" : "HOST";
  }

  /** Whether it is a Redis Cluster: then what is in different slots is reached by different scripts. */
  get isCluster(): boolean {
    return [...this.#nodes.values()].some(({ commands }) => commands.facts?.cluster === true);
  }

  /** Reads, with one command that changes nothing. */
  read<T>(command: readonly Argument[], options: CommandOptions, decode: (reply: Reply) => T): Promise<T> {
    return this.#send(() => command, false, options, decode).catch(explain(false, options));
  }

  /** Writes, with one command. */
  write(command: readonly Argument[], options: CommandOptions): Promise<Reply> {
    return this.#send(() => command, true, options, identity).catch(explain(true, options));
  }

  /**
   * Runs a script. A writing one gets, as its first argument, the id of the run of the server that does it: it changes when the server
   * restarts or another takes its place.
   */
  run(script: Script, keys: readonly string[], args: readonly Argument[], options: CommandOptions): Promise<Reply> {
    return this.runRaw(script, keys, args, options).catch(explain(script.write, options));
  }

  /** As {@link run}, but rejects with what happened instead of what to tell a caller: for a command of several callers. */
  runRaw(script: Script, keys: readonly string[], args: readonly Argument[], options: CommandOptions): Promise<Reply> {
    const toCommand = (known: boolean): Command =>
      script.write
        ? (runId) => scriptCommand(script, known, keys, [runId, ...args])
        : scriptCommand(script, known, keys, args);
    return this.#send(toCommand, script.write, options, identity);
  }

  /** The connection on which a route's channels are heard. */
  events(route: string): Connection {
    const { endpoint } = this.#connection(route);
    const node = this.#node(endpoint);
    node.events ??= new Connection(endpoint, this.#options, this.#logger).startLater();
    return node.events;
  }

  /** Takes note of where a route has moved, if that is what the error says. */
  learn(error: unknown, route: string, from: Endpoint): boolean {
    if (kindOf(error) !== "MOVED") return false;
    const { endpoint } = this.#node(this.#redirected(error as Error, from)).commands;
    this.#routes.set(route, endpoint.address);
    return true;
  }

  /** Rejects if a server that is in use does not answer. */
  async health(signal: AbortSignal): Promise<void> {
    const used = new Set(this.#routes.values());
    const nodes = used.size === 0 ? [...this.#nodes.keys()].slice(0, 1) : [...used];
    await Promise.all(
      nodes.map((address) =>
        this.#nodes
          .get(address)
          ?.commands.send(["PING"], { signal })
          .catch((error) => {
            throw toComponentError(error, { write: false, repeatable: true });
          }),
      ),
    );
  }

  /** Finishes the calls in flight, redirections and all, then lets go. */
  async close(): Promise<void> {
    this.#closing = true;
    if (this.#inFlight > 0) {
      const idle = new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
      const { over, timer } = timeout(this.#options.commandTimeoutMs);
      await Promise.race([idle, over]);
      clearTimeout(timer);
    }
    const connections = [...this.#nodes.values()].flatMap(({ commands, events }) => [commands, events]);
    await Promise.all(connections.map((connection) => connection?.close()));
  }

  /** `toCommand` is asked with false when the server does not know the script. */
  #send<T>(
    toCommand: (known: boolean) => Command,
    write: boolean,
    options: CommandOptions,
    decode: (reply: Reply) => T,
  ): Promise<T> {
    if (this.#closing) return Promise.reject(new ComponentError("COMPONENT_UNAVAILABLE", "the component is closed"));
    this.#inFlight++;
    const settle = (reply: Reply) => {
      this.#settled();
      return decode(reply);
    };
    return this.#connection(options.route)
      .send(toCommand(true), options)
      .then(settle, (first) =>
        this.#persist(first, toCommand, write, options).then(settle, (error) => {
          this.#settled();
          throw error;
        }),
      );
  }

  #settled(): void {
    this.#inFlight--;
    if (this.#inFlight === 0) this.#onIdle();
  }

  /** Goes on after a first attempt failed: teaches the script, follows the cluster, outlives a connection that broke; or gives up. */
  async #persist(
    firstError: unknown,
    toCommand: (known: boolean) => Command,
    write: boolean,
    options: CommandOptions,
  ): Promise<Reply> {
    const { route } = options;
    let error = firstError;
    let connection = this.#connection(route);
    let known = true;
    for (let attempt = 1; attempt < maxAttempts; attempt++) {
      if (kindOf(error) === "NOSCRIPT") known = false;
      else if (kindOf(error) === "ASK") {
        // The next node answers for a slot that is only half there when it is asked to; both commands go out together.
        connection = this.#node(this.#redirected(error as Error, connection.endpoint)).commands;
        connection.send(["ASKING"]).catch(() => {});
      } else if (this.learn(error, route, connection.endpoint)) connection = this.#connection(route);
      else if (error instanceof NoReply && (!error.sent || !write || options.repeatable === true)) {
        if (connection.isReady && !error.sent) throw error;
        const other = this.#elsewhere(route, connection);
        if (other === undefined && attempt > 1) throw error;
        connection = other ?? connection;
      } else throw error;
      try {
        return await connection.send(toCommand(known), options);
      } catch (next) {
        error = next;
      }
    }
    throw error;
  }

  #connection(route: string): Connection {
    const address = this.#routes.get(route);
    const routed = address === undefined ? undefined : this.#nodes.get(address);
    if (routed !== undefined) return routed.commands;
    const nodes = [...this.#nodes.values()].map(({ commands }) => commands);
    const any = nodes.find((connection) => connection.isReady) ?? nodes[0];
    if (any === undefined) throw new ComponentError("COMPONENT_UNAVAILABLE", "the component is closed");
    return any;
  }

  /** Of a cluster whose node is away: another one to ask, which knows who serves the route now. */
  #elsewhere(route: string, away: Connection): Connection | undefined {
    if (away.facts?.cluster === false) return undefined;
    this.#routes.delete(route);
    const other = [...this.#nodes.values()].find(({ commands }) => commands !== away && commands.isReady)?.commands;
    if (other !== undefined && away.awayMs > forgetAfterMs) this.#forget(away.endpoint);
    return other;
  }

  /** A node that has left the cluster is not dialled for ever; the configured ones are. */
  #forget({ address }: Endpoint): void {
    const node = this.#nodes.get(address);
    if (node === undefined || this.#options.seeds.some((seed) => seed.address === address)) return;
    this.#nodes.delete(address);
    for (const connection of [node.commands, node.events]) {
      connection
        ?.close()
        .catch((error) => this.#logger.warn("closing a connection failed", { address, error: String(error) }));
    }
  }

  #node(endpoint: Endpoint): Node {
    let node = this.#nodes.get(endpoint.address);
    if (node === undefined) {
      node = { commands: new Connection(endpoint, this.#options, this.#logger).startLater(), events: undefined };
      this.#nodes.set(endpoint.address, node);
    }
    return node;
  }

  /** `MOVED 3999 127.0.0.1:6381`: the last word is the address; without a host it is the host that said so. */
  #redirected(error: Error, from: Endpoint): Endpoint {
    const address = error.message.slice(error.message.lastIndexOf(" ") + 1);
    const colon = address.lastIndexOf(":");
    const host = address.slice(0, colon) || ("host" in from ? from.host : "127.0.0.1");
    return tcpEndpoint(host, Number(address.slice(colon + 1)), "tls" in from && from.tls);
  }

  /** So that a node that would be refused is refused at the start, and the durability is that of all. */
  async #connectPrimaries(first: Connection): Promise<void> {
    const slots = (await first.send(["CLUSTER", "SLOTS"])) as [number, number, [string, number]][];
    const missing = new Map<string, Endpoint>();
    for (const [, , [host, port]] of slots) {
      const { endpoint } = first;
      const primary = tcpEndpoint(
        host || ("host" in endpoint ? endpoint.host : ""),
        port,
        "tls" in endpoint && endpoint.tls,
      );
      if (!this.#nodes.has(primary.address)) missing.set(primary.address, primary);
    }
    await Promise.all(
      [...missing.values()].map(async (endpoint) => {
        try {
          const commands = await new Connection(endpoint, this.#options, this.#logger).start();
          this.#nodes.set(endpoint.address, { commands, events: undefined });
        } catch (error) {
          if (error instanceof ComponentError) throw error;
          // Away is not refused: the rest of the cluster serves, and the node is dialled when a route leads there.
          this.#logger.warn("a node of the Redis Cluster is away", { address: endpoint.address, error: String(error) });
        }
      }),
    );
  }
}

/** Turns a failure into what its caller is told. */
function explain(write: boolean, { repeatable = false }: CommandOptions): (error: unknown) => never {
  return (error) => {
    throw toComponentError(error, { write, repeatable });
  };
}

const identity = (reply: Reply) => reply;
