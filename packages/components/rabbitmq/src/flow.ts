import type { Channel, ConsumeMessage, Message } from "amqplib";

/** How long a consumer that nobody takes from stays, in ms: then what it brought is given back, for others. */
const idleMs = 100;
/** What AMQP can say. */
const maxWindow = 65_535;

/** Who a flow is for. */
export interface FlowOptions {
  readonly channel: Channel;
  readonly queue: string;
  /** Given what arrived and was not taken. */
  giveBack(messages: readonly Message[]): Promise<void>;
}

/**
 * What RabbitMQ pushes from a queue, never more than somebody asked for: a consumer's window is what was asked for and has not come, and what
 * came and is not settled. As long as that stays the same the consumer stays, too.
 *
 * What is on its way within RabbitMQ to a consumer that is cancelled goes back to its quorum queue, which counts that as a delivery. So nobody who
 * has gone leaves a consumer behind, for events to come to.
 */
export class Flow {
  readonly #options: FlowOptions;
  readonly #arrived: ConsumeMessage[] = [];
  readonly #wakers = new Set<() => void>();
  #consumer: { readonly tag: string; readonly window: number; unsettled: number } | undefined;
  #changing: Promise<void> = Promise.resolve();
  #takers = 0;
  #idle: NodeJS.Timeout | undefined;
  #ended: boolean = false;

  constructor(options: FlowOptions) {
    this.#options = options;
    options.channel.on("close", () => this.#end());
  }

  /** Whether nothing comes any more: the queue was deleted, or the channel is lost. */
  get ended(): boolean {
    return this.#ended;
  }

  /** How many events have come and were not taken. */
  get arrived(): number {
    return this.#arrived.length;
  }

  /** Takes what comes: at most `maxItems` and `maxBytes`, but one is always allowed. Waits for one until `signal` aborts. */
  async take(maxItems: number, maxBytes: number, signal: AbortSignal): Promise<ConsumeMessage[]> {
    clearTimeout(this.#idle);
    this.#takers += 1;
    try {
      await this.#ask(maxItems);
      // What the queue has by now comes before its answer.
      if (this.#arrived.length === 0 && signal.aborted) await this.#options.channel.checkQueue(this.#options.queue);
      while (this.#arrived.length === 0 && !signal.aborted && !this.#ended) await this.#next(signal);
      return this.#shift(maxItems, maxBytes);
    } finally {
      this.#takers -= 1;
      // Who has gone comes back no sooner than by another call; from who took something more is to be expected at once.
      if (this.#takers === 0 && signal.aborted) await this.#park();
      else if (this.#takers === 0) this.#idle = setTimeout(() => void this.#park(), idleMs);
    }
  }

  /** An event was settled: its consumer may have another. */
  settled({ fields }: Message): void {
    if (this.#consumer !== undefined && fields.consumerTag === this.#consumer.tag) this.#consumer.unsettled -= 1;
  }

  /** Takes no more, and gives back what was not taken. */
  async stop(): Promise<void> {
    clearTimeout(this.#idle);
    await this.#park();
    this.#end();
  }

  /** Has a consumer whose window has room for as much as is asked for. */
  #ask(maxItems: number): Promise<void> {
    this.#changing = this.#changing
      .catch(() => {})
      .then(async () => {
        if (this.#ended) return;
        const wanted = Math.min(maxWindow, maxItems);
        const consumer = this.#consumer;
        const room = consumer === undefined ? 0 : consumer.window - consumer.unsettled + this.#arrived.length;
        // Anew for half of it: a consumer costs the broker as much as some events do.
        if (room <= wanted && room > wanted / 2) return;
        await this.#cancel();
        const window = wanted - this.#arrived.length;
        if (window <= 0 || this.#ended) return;
        const { channel, queue } = this.#options;
        await channel.prefetch(window);
        const next = { tag: "", window, unsettled: 0 };
        const { consumerTag } = await channel.consume(queue, (message) => {
          if (message === null) return this.#end();
          next.unsettled += 1;
          this.#arrived.push(message);
          this.#wake();
        });
        next.tag = consumerTag;
        this.#consumer = next;
      });
    return this.#changing;
  }

  async #cancel(): Promise<void> {
    const consumer = this.#consumer;
    this.#consumer = undefined;
    // What the broker sent before it answers is there then.
    if (consumer !== undefined && !this.#ended) await this.#options.channel.cancel(consumer.tag);
  }

  /** Lets others have what nobody takes here. */
  async #park(): Promise<void> {
    const parking = this.#changing
      .catch(() => {})
      .then(async () => {
        if (this.#takers > 0) return;
        await this.#cancel();
        const rest = this.#arrived.splice(0);
        if (rest.length > 0) await this.#options.giveBack(rest);
      });
    this.#changing = parking;
    await parking.catch(() => {}); // The channel is lost, and the broker has all back.
  }

  #shift(maxItems: number, maxBytes: number): ConsumeMessage[] {
    let bytes = 0;
    const beyond = this.#arrived.findIndex(({ content }, index) => {
      bytes += content.byteLength;
      return index === maxItems || (index > 0 && bytes > maxBytes);
    });
    return this.#arrived.splice(0, beyond === -1 ? this.#arrived.length : beyond);
  }

  #next(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#wakers.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#wakers.add(wake);
      signal.addEventListener("abort", wake, { once: true });
    });
  }

  #wake(): void {
    for (const wake of [...this.#wakers]) wake();
  }

  #end(): void {
    this.#ended = true;
    this.#wake();
  }
}
