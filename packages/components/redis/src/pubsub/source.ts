import type { DeliverySource, GroupCall, Lease, Logger, Settlement } from "@mecha/component";
import { Batcher } from "../batcher.js";
import type { Reply } from "../command.js";
import { Abandoned, NoReply, toComponentError } from "../failures.js";
import type { Redis } from "../redis.js";
import { detach } from "../state/item.js";
import type { Arrivals, TopicArrivals } from "./arrivals.js";
import { claimLimit, claimScript } from "./claim-script.js";
import type { Group, Groups } from "./groups.js";
import { type LeaseName, newToken, parseHandle, toHandle } from "./handles.js";
import { extendScript, settleScript } from "./settle-scripts.js";

/** The most bytes of one claim, whatever is asked for: it occupies the server. */
const maxClaimBytes = 8 * 1024 * 1024;
const maxSettlements = 256;
/** Asking again does no harm: a claim hands back what the first one leased, and what was settled before is stale then. */
const harmless = { write: true, repeatable: true };

type Receive = Parameters<DeliverySource["receive"]>[0];
type BareSettlement = LeaseName & { readonly settlement: Settlement };

/** What a source needs of its pubsub. */
export interface SourceContext {
  readonly redis: Redis;
  readonly groups: Groups;
  readonly arrivals: Arrivals;
  readonly logger: Logger;
}

/** One consumer of a group. */
export class Source implements DeliverySource {
  readonly #call: GroupCall;
  readonly #context: SourceContext;
  readonly #settling: Batcher<BareSettlement, boolean>;
  /** By handle, when the lease ends by this process' clock; oldest first. */
  readonly #held = new Map<string, number>();
  /** Tokens of claims whose answer was lost, in which something may have been leased. */
  #lost: string[] = [];
  #known: Group | undefined;
  #arrivals: TopicArrivals | undefined;
  readonly #closing = new AbortController();

  constructor(call: GroupCall, context: SourceContext) {
    this.#call = call;
    this.#context = context;
    this.#settling = new Batcher({
      maxWeight: maxSettlements,
      weigh: () => 1,
      send: (settlements) => this.#settle(settlements),
      abandoned: (reason) => toComponentError(new Abandoned(reason, true), harmless),
    });
  }

  async receive(call: Receive): Promise<readonly Lease[]> {
    for (;;) {
      const group = await this.#group();
      this.#arrivals ??= this.#context.arrivals.of(group.tag);
      const arrivals = this.#arrivals;
      const { heard } = arrivals;
      const claim = await this.#claim(group, call);
      if (claim === "lost") {
        this.#known = await this.#restore(group);
        continue;
      }
      const { leases, dueInMs } = claim;
      if (leases.length > 0) {
        if (dueInMs === 0) arrivals.pass(group.id);
        if (!this.#closing.signal.aborted) return leases;
        await this.#release(leases.map(({ handle }) => handle));
        return [];
      }
      if (call.signal.aborted || this.#closing.signal.aborted) return [];
      // Zero: it has looked at as much as one claim may, and passed it over.
      if (dueInMs !== 0) await arrivals.next(group.id, heard, dueInMs, call.signal);
    }
  }

  async settle(settlements: readonly Settlement[]): Promise<boolean[]> {
    return Promise.all(
      settlements.map((settlement) => {
        this.#held.delete(settlement.handle);
        const lease = parseHandle(settlement.handle);
        return lease === undefined ? false : this.#settling.add({ ...lease, settlement });
      }),
    );
  }

  async extend(handles: readonly string[], leaseMs: number): Promise<boolean[]> {
    const { tag, keys, nativeName } = await this.#group();
    const leases = handles.map(parseHandle);
    const known = leases.filter((lease) => lease !== undefined);
    if (known.length === 0) return leases.map(() => false);
    const args = [nativeName, String(leaseMs), ...known.flatMap(({ id, token, key }) => [id, token, key])];
    const reply = (await this.#context.redis.run(extendScript, keys, args, {
      route: tag,
      repeatable: true,
    })) as readonly number[];
    let at = 0;
    return leases.map((lease, index) => {
      const counted = lease !== undefined && reply[at++] === 1;
      const handle = handles[index] ?? "";
      if (counted && this.#held.delete(handle)) this.#held.set(handle, performance.now() + leaseMs);
      return counted;
    });
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#arrivals?.[Symbol.dispose]();
    await this.#release([...this.#held.keys()]);
    if (this.#lost.length > 0) await this.#claim(await this.#group(), { maxItems: 0, maxBytes: 0, leaseMs: 0 });
  }

  async #group(): Promise<Group> {
    this.#known ??= await this.#context.groups.find(this.#call);
    if (this.#known === undefined) {
      throw new Error(`group ${this.#call.group} of topic ${this.#call.topic} was not opened`);
    }
    return this.#known;
  }

  /** Makes a group again that the server has lost, as its durability allows: those who consume for it must not starve. */
  async #restore({ settings }: Group): Promise<Group> {
    const { groups, logger } = this.#context;
    const found = await groups.find(this.#call);
    if (found !== undefined) return found;
    logger.warn("Redis has lost a group with its events; it begins anew", { ...this.#call });
    return groups.open({ ...this.#call, settings: undefined, defaults: settings, update: false });
  }

  /** Leases what is ready; in how many ms there may be more (-1: nothing is in sight). */
  async #claim(
    { tag, keys, nativeName, settings }: Group,
    { maxItems, maxBytes, leaseMs }: Pick<Receive, "maxItems" | "maxBytes" | "leaseMs">,
  ): Promise<{ leases: Lease[]; dueInMs: number } | "lost"> {
    const token = newToken();
    const lost = this.#lost;
    const limits = [Math.min(maxItems, claimLimit), Math.min(maxBytes, maxClaimBytes), leaseMs].map(String);
    const args = [nativeName, settings.ordered ? "1" : "0", token, ...limits, ...lost];
    let reply: readonly Reply[];
    try {
      reply = (await this.#context.redis.runRaw(claimScript, keys, args, {
        route: tag,
        binary: true,
      })) as readonly Reply[];
    } catch (error) {
      if (error instanceof NoReply && error.sent) this.#lost = [...lost, token];
      throw toComponentError(error, harmless);
    }
    this.#lost = this.#lost.filter((each) => !lost.includes(each));
    const [dueInMs, ...rest] = reply;
    if (typeof dueInMs !== "number") {
      // Of a group that was deleted there is never anything to take.
      return String(dueInMs) === "lost" ? "lost" : { leases: [], dueInMs: -1 };
    }
    return { leases: this.#hold(rest, token, leaseMs, settings.ordered), dueInMs };
  }

  /** Reads what a claim answered, and remembers it until it is settled or its lease ends. */
  #hold(reply: readonly Reply[], token: string, leaseMs: number, isOrdered: boolean): Lease[] {
    const now = performance.now();
    for (const [handle, end] of this.#held) {
      if (end > now) break;
      this.#held.delete(handle);
    }
    const leases: Lease[] = [];
    for (let at = 0; at < reply.length; at += 4) {
      const orderingKey = String(reply[at + 2]);
      const handle = toHandle({ id: String(reply[at]), token, key: isOrdered ? orderingKey : "" });
      this.#held.set(handle, now + leaseMs);
      leases.push({
        handle,
        attempt: Number(reply[at + 1]),
        orderingKey,
        payload: detach(reply[at + 3] as Buffer, 0),
      });
    }
    return leases;
  }

  async #settle(items: readonly BareSettlement[]): Promise<readonly boolean[]> {
    const { tag, keys, nativeName } = await this.#group();
    const args = [nativeName, ...items.flatMap(toArguments)];
    try {
      const reply = await this.#context.redis.runRaw(settleScript, keys, args, { route: tag, repeatable: true });
      return (reply as readonly number[]).map((counted) => counted === 1);
    } catch (error) {
      throw toComponentError(error, harmless);
    }
  }

  /** Hands back what is held but reached nobody. */
  async #release(handles: readonly string[]): Promise<void> {
    if (handles.length > 0) await this.settle(handles.map((handle) => ({ type: "release", handle })));
  }
}

const verbs = { ack: "a", retry: "r", dead: "d", release: "l" } as const;

/** What the settle script gets for one settlement. */
function toArguments({ id, token, key, settlement }: BareSettlement): string[] {
  const afterMs = settlement.type === "retry" ? settlement.afterMs : 0;
  const error = "error" in settlement ? settlement.error : "";
  return [verbs[settlement.type], id, token, key, String(afterMs), error];
}
