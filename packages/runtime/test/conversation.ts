import { create } from "@bufbuild/protobuf";
import type { Client as ServiceClient } from "@connectrpc/connect";
import {
  type Delivery,
  Disposition,
  type PubSubService,
  type SettleOutcome,
  type SubscribeRequest,
  SubscribeRequestSchema,
  type SubscribeResponse,
} from "@mecha/api/pubsub";
import { onTestFinished } from "vitest";

type Client = ServiceClient<typeof PubSubService>;
export type RequestInit = NonNullable<Parameters<typeof create<typeof SubscribeRequestSchema>>[1]>["message"];

/** One Subscribe stream that a test talks on. */
export class Conversation {
  readonly #outgoing: SubscribeRequest[] = [];
  #wake: (() => void) | undefined;
  readonly #over = new AbortController();
  readonly #responses: AsyncIterator<SubscribeResponse>;

  constructor(client: Client, first?: RequestInit) {
    if (first !== undefined) this.say(first);
    this.#responses = client.subscribe(this.#requests())[Symbol.asyncIterator]();
    onTestFinished(() => this.hangUp());
  }

  say(message: RequestInit): void {
    this.#outgoing.push(create(SubscribeRequestSchema, { message: message ?? { case: undefined } }));
    this.#wake?.();
  }

  async hear(): Promise<SubscribeResponse["message"]> {
    const { value, done } = await this.#responses.next();
    if (done === true) throw new Error("the stream ended");
    return value.message;
  }

  async deliveries(): Promise<Delivery[]> {
    const message = await this.hear();
    if (message.case !== "deliveries") throw new Error(`heard ${message.case}`);
    return message.value.deliveries;
  }

  async results(): Promise<SettleOutcome[]> {
    const message = await this.hear();
    if (message.case !== "ackResult") throw new Error(`heard ${message.case}`);
    return message.value.results.map(({ outcome }) => outcome);
  }

  ack(...deliveryIds: string[]): void {
    this.say({ case: "ack", value: { deliveryIds, disposition: Disposition.ACK } });
  }

  hangUp(): void {
    this.#over.abort();
    this.#wake?.();
  }

  async *#requests(): AsyncIterable<SubscribeRequest> {
    while (!this.#over.signal.aborted) {
      yield* this.#outgoing.splice(0);
      if (this.#over.signal.aborted) return;
      // Said while the last one was being taken.
      if (this.#outgoing.length > 0) continue;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
