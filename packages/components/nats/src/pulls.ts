import { type Msg, nanos } from "@nats-io/transport-node";
import type { Connection, Live } from "./connection.js";
import { unavailable } from "./errors.js";

/** Whose events a pull asks for. */
export interface PullTarget {
  readonly stream: string;
  readonly consumer: string;
}

/** JetStream answers every request, at the latest when its time is over; this long after that it does not know the consumer, in ms. */
const answerMs = 5_000;

/** A pull that JetStream did not answer, or refused: its consumer is gone, or has no leader. */
export class PullFailed extends Error {}

/** How a pull ended. */
export interface PullEnd {
  /** There is an event, but it is larger than was allowed. */
  readonly tooLarge: boolean;
}

let inboxes = 0;

/**
 * One request for events, with an inbox of its own. It ends when all that was asked for came, when JetStream says that it ends, or when the
 * connection is lost; it is never taken back, since what JetStream sends to an inbox that is gone counts as delivered.
 */
export class Pull {
  readonly ended: Promise<PullEnd>;
  readonly #live: Live;
  readonly #sub;
  readonly #lost: () => void;
  readonly #timer: NodeJS.Timeout;
  #missing: number;
  #isOver: boolean = false;

  private constructor(
    { inbox }: Connection,
    live: Live,
    { stream, consumer }: PullTarget,
    body: { readonly batch: number; readonly expires?: number },
    onMessage: (message: Msg) => void,
  ) {
    const { promise, resolve, reject } = Promise.withResolvers<PullEnd>();
    const end = (tooLarge: boolean) => this.#end() && resolve({ tooLarge });
    const fail = (error: unknown) => this.#end() && reject(error);
    this.ended = promise;
    this.ended.catch(() => {}); // Not everybody who pulls waits for the end.
    this.#live = live;
    this.#missing = body.batch;
    this.#lost = () => fail(unavailable("the connection to NATS broke while events were asked for", 100));
    const silentMs = (body.expires ?? 0) / 1_000_000 + answerMs;
    this.#timer = setTimeout(() => fail(new PullFailed(`consumer ${consumer} of ${stream} does not answer`)), silentMs);
    const reply = `${inbox}-${++inboxes}`;
    this.#sub = live.nc.subscribe(reply, {
      callback: (_, message) => {
        const code = message.headers?.code ?? 0;
        if (code === 0) {
          this.#missing -= 1;
          onMessage(message);
          if (this.#missing === 0) end(false);
          return;
        }
        const description = message.headers?.description ?? "";
        const isOver = code === 404 || code === 408 || (code === 409 && !/deleted/i.test(description));
        if (isOver) end(/exceeds maxbytes/i.test(description));
        else if (code !== 100) fail(new PullFailed(`consumer ${consumer} of ${stream}: ${code} ${description}`));
      },
    });
    live.lost.addEventListener("abort", this.#lost, { once: true });
    live.nc.publish(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`, JSON.stringify(body), { reply });
  }

  /**
   * Takes what there is now.
   *
   * @param maxBytes of whole messages; undefined: no limit
   */
  static async now(
    connection: Connection,
    target: PullTarget,
    batch: number,
    maxBytes: number | undefined,
  ): Promise<PullEnd & { readonly messages: readonly Msg[] }> {
    const messages: Msg[] = [];
    const body = { batch, no_wait: true, ...(maxBytes !== undefined && { max_bytes: maxBytes }) };
    const pull = new Pull(connection, await connection.ready(), target, body, (message) => messages.push(message));
    try {
      return { ...(await pull.ended), messages };
    } catch (error) {
      // What came must not be lost; what is wrong is found by the next one.
      if (messages.length > 0) return { messages, tooLarge: false };
      throw error;
    }
  }

  /** Takes one event that is there or comes within `waitMs`; there may be none. */
  static async soon(connection: Connection, target: PullTarget, waitMs: number): Promise<readonly Msg[]> {
    const messages: Msg[] = [];
    const live = await connection.ready();
    await Pull.first(connection, live, target, waitMs, (message) => messages.push(message)).ended;
    return messages;
  }

  /** Waits for one event, at most `waitMs`. */
  static first(
    connection: Connection,
    live: Live,
    target: PullTarget,
    waitMs: number,
    onMessage: (message: Msg) => void,
  ): Pull {
    return new Pull(connection, live, target, { batch: 1, expires: nanos(waitMs) }, onMessage);
  }

  #end(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#live.lost.removeEventListener("abort", this.#lost);
    if (!this.#live.lost.aborted) this.#sub.unsubscribe();
    return true;
  }
}
