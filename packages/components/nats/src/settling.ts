import type { Settlement } from "@mecha/component";
import { type Msg, nanos } from "@nats-io/transport-node";
import type { Connection } from "./connection.js";
import type { DeadLetters } from "./dead-letters.js";
import { toComponentError } from "./errors.js";
import type { FreeDeliveries } from "./free-deliveries.js";
import type { Group, Groups } from "./groups.js";
import { type Held, type Leases, verdicts } from "./leases.js";
import type { Names } from "./names.js";

/** What another runtime asks of the one that holds a lease. */
type Asked = { readonly group: Group["call"] } & (
  | { readonly settlements: readonly Settlement[] }
  | { readonly handles: readonly string[]; readonly leaseMs: number }
);

const noResponders = 503;
const settlementUnknown = "it may have been settled";

/** Settles and prolongs leases, this runtime's own and, by asking it, another's. */
export class Settling {
  readonly #connection: Connection;
  readonly #groups: Groups;
  readonly #leases: Leases;
  readonly #free: FreeDeliveries;
  readonly #dead: DeadLetters;
  readonly #names: Names;
  readonly #holder: string;

  constructor(context: {
    readonly connection: Connection;
    readonly groups: Groups;
    readonly leases: Leases;
    readonly free: FreeDeliveries;
    readonly dead: DeadLetters;
    readonly names: Names;
    readonly holder: string;
  }) {
    this.#connection = context.connection;
    this.#groups = context.groups;
    this.#leases = context.leases;
    this.#free = context.free;
    this.#dead = context.dead;
    this.#names = context.names;
    this.#holder = context.holder;
    this.#connection.listen(this.#names.holder(this.#holder), (message) => void this.#answer(message));
  }

  /** Resolves, per settlement, with whether it counted, when the server has read what it means. */
  async settle(group: Group, settlements: readonly Settlement[]): Promise<boolean[]> {
    return this.#byHolder(
      settlements,
      ({ handle }) => handle,
      (own) => this.#settleOwn(group, own),
      (settlements) => ({ group: group.call, settlements }),
    );
  }

  async extend(group: Group, handles: readonly string[], leaseMs: number): Promise<boolean[]> {
    return this.#byHolder(
      handles,
      (handle) => handle,
      async (own) => own.map((handle) => this.#leases.extend(handle, group, leaseMs)),
      (handles) => ({ group: group.call, handles, leaseMs }),
    );
  }

  async #settleOwn(group: Group, settlements: readonly Settlement[]): Promise<boolean[]> {
    const live = await this.#connection.ready();
    const taken = settlements.map((settlement) => {
      const held = this.#leases.take(settlement.handle, group);
      return held && { settlement, held };
    });
    const slow: Promise<void>[] = [];
    let isAny: boolean = false;
    for (const one of taken) {
      if (one === undefined) continue;
      isAny = true;
      const { settlement, held } = one;
      if (settlement.type === "ack" && held.free === 0) live.nc.publish(held.ackSubject, verdicts.ack);
      else slow.push(this.#settleOne(settlement, held));
    }
    try {
      await Promise.all(slow);
      if (isAny) await this.#connection.flush();
    } catch (error) {
      throw toComponentError(error, settlementUnknown);
    }
    return taken.map((one) => one !== undefined);
  }

  /** All that is more than one word to JetStream. What must be stored is stored before the event goes. */
  async #settleOne(settlement: Settlement, held: Held): Promise<void> {
    const { group, sequence, free, ackSubject } = held;
    const say = (verdict: string) => this.#connection.live?.nc.publish(ackSubject, verdict);
    switch (settlement.type) {
      case "retry":
        say(
          settlement.afterMs > 0
            ? `${verdicts.nak} ${JSON.stringify({ delay: nanos(settlement.afterMs) })}`
            : verdicts.nak,
        );
        return;
      case "release":
        await this.#free.set(group.names, sequence, free + 1);
        say(verdicts.nak);
        return;
      case "dead":
        await this.#dead.bury(held, settlement.error);
        say(verdicts.ack);
        break;
      case "ack":
        say(verdicts.ack);
    }
    if (free > 0) await this.#free.forget(group.names, sequence);
  }

  /** Sorts by who holds: handles begin with it. A holder that has gone holds nothing. */
  async #byHolder<Item>(
    items: readonly Item[],
    handleOf: (item: Item) => string,
    own: (items: readonly Item[]) => Promise<boolean[]>,
    ask: (items: readonly Item[]) => Asked,
  ): Promise<boolean[]> {
    const holderOf = (item: Item) => handleOf(item).split(".", 1)[0] ?? "";
    if (items.every((item) => holderOf(item) === this.#holder)) return own(items);
    const outcomes = items.map(() => false);
    const holders = Map.groupBy(items.entries(), ([, item]) => holderOf(item));
    await Promise.all(
      [...holders].map(async ([holder, entries]) => {
        const theirs = entries.map(([, item]) => item);
        const counted = holder === this.#holder ? await own(theirs) : await this.#ask(holder, ask(theirs));
        for (const [position, [index]] of entries.entries()) outcomes[index] = counted[position] === true;
      }),
    );
    return outcomes;
  }

  async #ask(holder: string, asked: Asked): Promise<readonly boolean[]> {
    // A subject is made of it, and it comes from a caller.
    if (!/^[0-9a-f-]{36}$/.test(holder)) return [];
    try {
      const answer = await this.#connection.request(this.#names.holder(holder), JSON.stringify(asked));
      return answer.headers?.code === noResponders ? [] : answer.json<boolean[]>();
    } catch (error) {
      throw toComponentError(error, settlementUnknown);
    }
  }

  async #answer(message: Msg): Promise<void> {
    const asked = message.json<Asked>();
    const group = await this.#groups.find(asked.group);
    const counted =
      group === undefined
        ? []
        : "settlements" in asked
          ? await this.#settleOwn(group, asked.settlements)
          : asked.handles.map((handle) => this.#leases.extend(handle, group, asked.leaseMs));
    message.respond(JSON.stringify(counted));
  }
}
