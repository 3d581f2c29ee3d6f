import { randomUUID } from "node:crypto";
import { type AssistStore, ComponentError, type StateStore } from "@mecha/component";

/** What is known of one app's firings, kept in the store. Times are ms since the epoch. */
export interface Progress {
  /** Every firing until then is settled, or passed over. */
  readonly done: number;
  /** The firing that was tried last and is not settled. */
  readonly tried?: { readonly time: number; readonly attempts: number; readonly notBefore: number };
}

/** A firing that this consumer, and nobody else, works on. Its etags fence it: who was late finds that they changed. */
export interface Claim {
  readonly progressEtag: string;
  readonly etag: string;
}

/** What the store says now. */
export interface JournalState {
  readonly progress: Progress;
  readonly progressEtag: string;
}

/** One app's firings in the store: how far they are done, and who works on the next. */
export interface Journal {
  /** Reads it; makes it, with everything until `now` done, if there is none. */
  read(now: number): Promise<JournalState>;
  /** Claims the next firing for `leaseMs`, noting the attempt; undefined if somebody else holds it or was faster. */
  claim(before: JournalState, progress: Progress, leaseMs: number): Promise<Claim | undefined>;
  /** When the claim that is held ends, if nothing happens; undefined if none is. */
  claimEnd(): Promise<number | undefined>;
  /** Makes a claim end `leaseMs` from now; undefined if it is over. */
  extend(claim: Claim, leaseMs: number): Promise<Claim | undefined>;
  /** Notes what became of a claimed firing and ends the claim; false if it was over already. */
  settle(claim: Claim, progress: Progress): Promise<boolean>;
}

type Write = Parameters<StateStore["write"]>[0]["operations"][number];

/** How often a write is sent whose outcome the store does not know. */
const maxAttempts = 3;

/** Somebody was faster. */
const conflicts = new Set(["ETAG_MISMATCH", "ALREADY_EXISTS", "NOT_EXISTS"]);

/** @param app "<namespace>/<app id>" */
export function createJournal(store: AssistStore, app: string): Journal {
  const progressKey = `progress/${app}`;
  const claimKey = `claim/${app}`;
  const setProgress = (progress: Progress, precondition: Write["precondition"]): Write => ({
    type: "set",
    key: progressKey,
    value: Buffer.from(JSON.stringify(progress)),
    contentType: "application/json",
    ttlMs: undefined,
    precondition,
  });
  const setClaim = (ttlMs: number, precondition: Write["precondition"]): Write => {
    return { type: "set", key: claimKey, value: new Uint8Array(), contentType: "", ttlMs, precondition };
  };
  const matching = (etag: string) => ({ type: "etag", etag }) as const;

  /** Writes all or nothing; the etags, or undefined if somebody was faster. A write that may have been done is sent again, and is done once. */
  const write = async (...operations: Write[]): Promise<string[] | undefined> => {
    const requestId = { id: randomUUID(), fingerprint: "" };
    for (let attempt = 1; ; attempt++) {
      try {
        const results = await store.use((state, keyspace) => state.write({ keyspace, operations, requestId }));
        return results.map((result) => (result.type === "set" ? result.etag : ""));
      } catch (error) {
        if (!(error instanceof ComponentError)) throw error;
        if (conflicts.has(error.reason)) return undefined;
        if (error.reason !== "OUTCOME_UNKNOWN" || attempt === maxAttempts) throw error;
      }
    }
  };
  const get = (key: string) => store.use((state, keyspace) => state.get({ keyspace, key }));

  return {
    async read(now) {
      for (;;) {
        const item = await get(progressKey);
        if (item !== undefined) {
          const progress = JSON.parse(Buffer.from(item.value).toString()) as Progress;
          return { progress, progressEtag: item.etag };
        }
        const progress: Progress = { done: now };
        const [progressEtag] = (await write(setProgress(progress, { type: "absent" }))) ?? [];
        if (progressEtag !== undefined) return { progress, progressEtag };
      }
    },

    async claim(before, progress, leaseMs) {
      const claim = setClaim(leaseMs, { type: "absent" });
      const etags = await write(claim, setProgress(progress, matching(before.progressEtag)));
      return etags && { etag: etags[0] ?? "", progressEtag: etags[1] ?? "" };
    },

    claimEnd: async () => (await get(claimKey))?.expireTime,

    async extend(claim, leaseMs) {
      const [etag] = (await write(setClaim(leaseMs, matching(claim.etag)))) ?? [];
      return etag === undefined ? undefined : { ...claim, etag };
    },

    async settle({ etag, progressEtag }, progress) {
      const release: Write = { type: "delete", key: claimKey, precondition: matching(etag) };
      return (await write(release, setProgress(progress, matching(progressEtag)))) !== undefined;
    },
  };
}
