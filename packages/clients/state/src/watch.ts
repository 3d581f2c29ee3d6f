import type { WatchResponse } from "@mecha/api/state";
import { backoffMs, MechaError, runtimeUnavailable, sleep } from "@mecha/client";
import type { StateItem } from "./item.js";
import type { StateCallOptions } from "./options.js";
import { decodeItem, type Scope } from "./scope.js";

/** What to watch. */
export type WatchOptions = Omit<StateCallOptions, "timeoutMs"> & {
  /** How long the runtime may be away before the watch gives up, in ms. Default 60 000. */
  reconnectTimeoutMs?: number;
  /** Goes on after the change that bore this token, with what changed since, deletions too. Default: starts with what is there. */
  resumeToken?: string;
} & (
    | {
        /** One key. */
        key: string;
        prefix?: never;
      }
    | {
        /** Every key that begins with this. Default: every key (of the collection). */
        prefix?: string;
        key?: never;
      }
  );

/** One thing that a watch reports. */
export type StateChange<T> =
  | { readonly type: "item"; readonly item: StateItem<T>; readonly resumeToken: string }
  | {
      readonly type: "deleted";
      readonly key: string;
      /** Whether it ran out of time rather than being deleted. */
      readonly expired: boolean;
      readonly resumeToken: string;
    }
  /** All that was there, or that changed since the resume token, has been reported. */
  | { readonly type: "synced"; readonly resumeToken: string }
  /**
   * The watch was cut off for so long that the runtime no longer knows what changed. Everything that is there follows, then `synced`: a key that is
   * not among it was deleted meanwhile.
   */
  | { readonly type: "reset" };

/**
 * Reports what is there, then `synced`, then what changes. When the runtime restarts it reconnects and goes on where it was: nothing is missed, and
 * something may be reported twice. Iterate it once; leaving the loop, `close` and `await using` end it.
 */
export interface StateWatch<T> extends AsyncIterable<StateChange<T>, void, undefined>, AsyncDisposable {
  /** Ends the watch; a loop over it ends. */
  close(): Promise<void>;
}

export function createWatch<Out>(scope: Scope<never, Out>, options: WatchOptions): StateWatch<Out> {
  const closed = new AbortController();
  const changes = watch(scope, options, closed);
  const close = async () => {
    closed.abort();
    await changes.return();
  };
  return { [Symbol.asyncIterator]: () => changes, close, [Symbol.asyncDispose]: close };
}

async function* watch<Out>(
  scope: Scope<never, Out>,
  options: WatchOptions,
  closed: AbortController,
): AsyncGenerator<StateChange<Out>, void, undefined> {
  const { runtime } = scope;
  const ended = AbortSignal.any([closed.signal, runtime.closed]);
  const signal = options.signal === undefined ? ended : AbortSignal.any([ended, options.signal]);
  const target =
    options.key === undefined
      ? { case: "prefix" as const, value: scope.prefix + (options.prefix ?? "") }
      : { case: "key" as const, value: scope.prefix + options.key };
  let resumeToken = options.resumeToken ?? "";
  let lastHeard = performance.now();
  try {
    for (let attempt = 1; ; attempt++) {
      let failure: MechaError;
      let heard = false;
      try {
        const responses = scope.rpc.watch(
          { store: options.store ?? scope.store, target, resumeToken },
          { signal, ...(options.headers !== undefined && { headers: options.headers }) },
        );
        for await (const response of responses) {
          heard = true;
          const change = await toChange(scope, response);
          ({ resumeToken } = response);
          if (change !== undefined) yield change;
        }
        failure = runtimeUnavailable("the runtime ended the watch");
      } catch (error) {
        failure = MechaError.from(error);
      }
      if (ended.aborted) return;
      if (failure.reason === "RESUME_EXPIRED" && resumeToken !== "") {
        resumeToken = "";
        yield { type: "reset" };
        continue;
      }
      if (heard) {
        attempt = 1;
        lastHeard = performance.now();
      }
      if (failure.code !== "unavailable" || runtime.retry.maxAttempts === 1) throw failure;
      const delayMs = backoffMs(runtime.retry, attempt, failure, Math.random);
      if (performance.now() + delayMs - lastHeard > (options.reconnectTimeoutMs ?? 60_000)) throw failure;
      await sleep(delayMs, signal);
    }
  } finally {
    closed.abort(); // A loop that is left leaves the call open otherwise.
  }
}

async function toChange<Out>(scope: Scope<never, Out>, response: WatchResponse): Promise<StateChange<Out> | undefined> {
  const { change, resumeToken } = response;
  switch (change.case) {
    case "item":
      return { type: "item", item: await decodeItem(scope, change.value), resumeToken };
    case "deleted":
      return {
        type: "deleted",
        key: change.value.key.slice(scope.prefix.length),
        expired: change.value.expired,
        resumeToken,
      };
    case "synced":
      return { type: "synced", resumeToken };
    default:
      return undefined; // What a newer runtime may report.
  }
}
