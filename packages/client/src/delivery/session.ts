import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { Disposition, SettleOutcome } from "@mecha/api/pubsub";
import type { HeadersLike } from "../call.js";
import type { Refusal, Settleable } from "./settleable.js";
import type { AnyDelivery, StreamRequest, StreamResponse, Wire } from "./wire.js";

/** The most delivery ids that one message takes. */
const maxIds = 1000;

/** One Subscribe stream: deliveries in, settlements out. Acks of one turn of the event loop go in one message. */
export class Session<Open, Opened, Delivery extends AnyDelivery> {
  readonly #outgoing: StreamRequest<Open>[] = [];
  /** Who waits for the next `ack_result`, in the order of what was sent. */
  readonly #waiting: ((outcomes: readonly boolean[]) => void)[] = [];
  readonly #over = new AbortController();
  #wake: (() => void) | undefined;
  #acks: { id: string; done: (counted: boolean) => void }[] = [];
  ackTimeoutMs = 30_000;

  constructor(readonly wire: Wire<Open, Opened, Delivery, Settleable>) {}

  /** Opens the stream and yields what it delivers, until it ends. What was not settled by then comes again, here or elsewhere. */
  async *run(options: {
    readonly signal: AbortSignal;
    readonly headers?: HeadersLike;
  }): AsyncGenerator<Delivery | "opened", void, undefined> {
    this.#say({ case: "open", value: this.wire.open });
    // Read on while the app works on an event: the answer to its ack comes by the same stream. The runtime keeps to the credit, so this is bounded.
    const arrived: (Delivery | "opened")[] = [];
    let end: { readonly error: unknown } | "well" | undefined;
    let wake = () => {};
    const read = async () => {
      for await (const response of this.wire.subscribe(this.#requests(), options)) {
        arrived.push(...this.#take(response));
        wake();
      }
    };
    // Whoever waits for an answer must not: handlers that do would keep this from being read to its end.
    const over = (how: typeof end) => {
      end = how;
      this.close();
      wake();
    };
    read().then(
      () => over("well"),
      (error: unknown) => over({ error }),
    );
    try {
      for (;;) {
        // What arrived and was not begun when the stream ended can be settled no more: it comes again.
        for (let next = arrived.shift(); next !== undefined && end === undefined; next = arrived.shift()) yield next;
        if (end === "well") return;
        if (end !== undefined) throw end.error;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    } finally {
      this.close();
    }
  }

  /** Takes in one response: answers go to who asked, deliveries are what is left. */
  #take({ message }: StreamResponse<Opened, Delivery>): readonly (Delivery | "opened")[] {
    switch (message.case) {
      case "opened": {
        const ackTimeout = this.wire.ackTimeoutOf(message.value);
        if (ackTimeout) this.ackTimeoutMs = durationMs(ackTimeout);
        return ["opened"];
      }
      case "deliveries":
        return message.value.deliveries;
      case "ackResult":
        this.#waiting.shift()?.(message.value.results.map(({ outcome }) => outcome === SettleOutcome.DONE));
        return [];
      default: // `draining`: what is in flight may still be settled; then the stream ends.
        return [];
    }
  }

  /** Says that a delivery is done; false if it was too late. */
  ack(id: string): Promise<boolean> {
    if (this.#over.signal.aborted) return Promise.resolve(false);
    return new Promise((done) => {
      if (this.#acks.length === 0) queueMicrotask(() => this.#sendAcks());
      this.#acks.push({ id, done });
      if (this.#acks.length === maxIds) this.#sendAcks();
    });
  }

  /** Says that a delivery failed; false if it was too late. */
  async refuse(id: string, refusal: Refusal): Promise<boolean> {
    const value =
      "reject" in refusal
        ? { deliveryIds: [id], disposition: Disposition.REJECT, error: refusal.reject }
        : {
            deliveryIds: [id],
            disposition: Disposition.RETRY,
            error: refusal.error,
            ...(refusal.retryAfterMs !== undefined && { retryAfter: durationFromMs(refusal.retryAfterMs) }),
          };
    const [counted] = await this.#ask({ case: "ack", value });
    return counted === true;
  }

  /** Gives deliveries more time: `ackTimeoutMs` from now, or the group's. */
  async extend(deliveryIds: string[], ackTimeoutMs?: number): Promise<boolean> {
    const ackTimeout = ackTimeoutMs === undefined ? {} : { ackTimeout: durationFromMs(ackTimeoutMs) };
    const [counted] = await this.#ask({ case: "extend", value: { deliveryIds, ...ackTimeout } });
    return counted === true;
  }

  /** Says no more; what is not settled is handed back. */
  close(): void {
    this.#sendAcks();
    this.#over.abort();
    this.#wake?.();
    for (const done of this.#waiting.splice(0)) done([]);
  }

  #sendAcks(): void {
    const acks = this.#acks;
    if (acks.length === 0) return;
    this.#acks = [];
    const deliveryIds = acks.map(({ id }) => id);
    void this.#ask({ case: "ack", value: { deliveryIds, disposition: Disposition.ACK } }).then((counted) => {
      for (const [index, { done }] of acks.entries()) done(counted[index] === true);
    });
  }

  #ask(message: StreamRequest<Open>["message"]): Promise<readonly boolean[]> {
    if (this.#over.signal.aborted) return Promise.resolve([]);
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#say(message);
    });
  }

  #say(message: StreamRequest<Open>["message"]): void {
    this.#outgoing.push({ message });
    this.#wake?.();
  }

  async *#requests(): AsyncIterable<StreamRequest<Open>> {
    for (;;) {
      yield* this.#outgoing.splice(0);
      if (this.#outgoing.length > 0) continue;
      if (this.#over.signal.aborted) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
