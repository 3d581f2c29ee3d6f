import type { IncomingHttpHeaders } from "node:http";
import { type Clock, ComponentError } from "@mecha/component";
import type { AccessControl } from "../access/control.js";
import type { HeaderMap } from "../mesh/headers.js";
import { Kept } from "../policy/kept.js";
import type { Applied, Effective, Policies } from "../policy/policies.js";
import type { RateLimiters } from "../policy/rate-limiters.js";
import { Bulkhead } from "../policy/sections/bulkhead.js";
import type { SectionValue } from "../policy/sections.js";
import type { RuntimeLogger } from "../telemetry/logger.js";
import { holderOf } from "./api-keys.js";
import { answerCors } from "./cors.js";
import { onlyHeaders, tooLarge } from "./request.js";
import { tokenOf, withoutToken } from "./token.js";
import { badToken, type Claims, createVerifier, type Verifier } from "./verifier.js";

/** What a call of another app passes before it reaches this runtime's app. */
export interface Gate {
  readonly access: AccessControl;
  /** Judges a call; at once, unless a token or a turn must be waited for. Never rejects. */
  admit(arrival: Arrival): Verdict | Promise<Verdict>;
}

/** A call at the gate. */
export interface Arrival {
  /** The calling app, as its certificate says. */
  readonly from: string;
  readonly method: string;
  /** In its normal form, without the query. */
  readonly path: string;
  /** As they came. */
  readonly headers: IncomingHttpHeaders;
  /** Calls back when the caller goes. */
  onGone(gone: () => void): void;
}

/** What becomes of a call. */
export interface Verdict {
  /** Why it is refused; undefined if it is let in. */
  readonly refusal?: unknown;
  /** Answered here, by `answerHeaders` alone: a preflight. */
  readonly isPreflight?: boolean;
  /** What its answer bears, whatever it is. */
  readonly answerHeaders?: HeaderMap | undefined;
  /** How large its body may be. */
  readonly maxBytes?: number | undefined;
  /** The headers that reach the app, of those that would; perhaps the very same. */
  filter(headers: HeaderMap): HeaderMap;
  /** It is over: who waits may come. */
  leave(): void;
}

const free: Verdict = { filter: (headers) => headers, leave() {} };

/** What an AccessPolicy asks for the holder of an API key by. No token can say it: it is taken out of what tokens say. */
const holderClaim = "mecha/api-key";

export interface GateOptions {
  readonly appId: string;
  readonly access: AccessControl;
  readonly policies: Policies;
  readonly limiters: RateLimiters;
  readonly clock: Clock;
  readonly logger: RuntimeLogger;
}

/**
 * A call passes, in this order: where its page is from, its size, its API key, its token, the access policies, the rate limit, and the app's
 * concurrency. What proves who calls is asked for on every path that some framework may take for the policy's.
 */
export function createGate({ appId, access, policies, limiters, clock, logger }: GateOptions): Gate {
  const verifiers = new Kept<SectionValue<"jwt">, Verifier>((value) => createVerifier(value, clock, logger));
  const turns = new Kept<SectionValue<"concurrency">, Bulkhead>((value) => new Bulkhead(value, clock));

  const judge = (arrival: Arrival): Verdict | Promise<Verdict> => {
    const { from, method, path, headers } = arrival;
    const effective = policies.forCall(appId, arrival);
    const asked = askedOf(effective, policies.similarTo(appId, arrival));
    const cors = effective.cors && answerCors(effective.cors.value, arrival);
    const answerHeaders = cors?.headers;
    if (cors?.isPreflight === true) return { ...free, isPreflight: true, answerHeaders };

    /** What follows what proves who calls. */
    const proceed = (claims: Claims | undefined, holder: string | undefined): Verdict | Promise<Verdict> => {
      const known = claims === undefined && holder === undefined ? undefined : { ...claims, [holderClaim]: holder };
      access.check({ from, method, path, claims: known });
      const letIn = (): Verdict | Promise<Verdict> => {
        const { maxBytes } = asked;
        if (maxBytes !== undefined && Number(headers["content-length"] ?? 0) > maxBytes) throw tooLarge(maxBytes);
        const turn = turns.of(effective.concurrency, appId);
        const verdict: Verdict = {
          answerHeaders,
          maxBytes,
          filter: (all) => filter(effective, all, claims, holder),
          leave: () => turn?.leave(),
        };
        const entered = turn?.enter(arrival.onGone) ?? true;
        if (entered === true) return verdict;
        const settle = (isIn: boolean): Verdict => (isIn ? verdict : { ...free, answerHeaders, refusal: busy(appId) });
        return entered instanceof Promise ? entered.then(settle) : settle(entered);
      };
      const limits = asked.rateLimits.flatMap((section) => limitRate(section, from) ?? []);
      if (limits.length === 0) return letIn();
      return Promise.all(limits)
        .then(letIn)
        .catch((refusal: unknown): Verdict => ({ ...free, answerHeaders, refusal }));
    };

    try {
      // All are asked: each may refuse.
      const holders = asked.apiKeys.map(({ value }) => holderOf(value, arrival));
      const holder = holders.find((each) => each !== undefined);
      if (asked.tokens.length === 0) return proceed(undefined, holder);
      return verifyAll(asked.tokens, headers)
        .then((claims) => proceed(claims, holder))
        .catch((refusal: unknown): Verdict => ({ ...free, answerHeaders: challenge(answerHeaders, refusal), refusal }));
    } catch (refusal) {
      return { ...free, answerHeaders: challenge(answerHeaders, refusal), refusal };
    }
  };

  /** All tokens that are asked for; what they say, together. */
  const verifyAll = async (
    sections: readonly Applied<SectionValue<"jwt">>[],
    headers: IncomingHttpHeaders,
  ): Promise<Claims | undefined> => {
    let all: Claims | undefined;
    for (const section of sections) {
      const token = tokenOf(section.value, headers);
      if (token === undefined) {
        if (section.value.required) throw badToken("there is none");
        continue;
      }
      const { [holderClaim]: _, ...claims } = await verifiers.of(section, appId).verify(token);
      // What the policy of this very path says counts first.
      all = { ...claims, ...all };
    }
    return all;
  };

  /** A promise where the limit is shared and its store must be asked. */
  const limitRate = (section: Applied<SectionValue<"rateLimit">>, from: string): Promise<void> | undefined => {
    const isOwn = section.value.per === "caller";
    const judge = (waitMs: number) => {
      if (waitMs === 0) return;
      policies.counts.of(`app/${appId}`).refuse("rate-limit");
      const message = `app "${appId}" takes no more calls${isOwn ? ` of app "${from}"` : ""} just now`;
      throw new ComponentError("RATE_LIMITED", message, { retryAfterMs: waitMs, metadata: { app: appId } });
    };
    const taken = limiters.of(section, isOwn ? `app ${appId} from ${from}` : `app ${appId}`).take();
    return taken instanceof Promise ? taken.then(judge) : void judge(taken);
  };

  return {
    access,
    admit(arrival) {
      try {
        return judge(arrival);
      } catch (refusal) {
        return { ...free, refusal };
      }
    },
  };
}

/** What is asked of a call: by its own policies, and by those of the paths that some framework may take for its path. */
interface Asked {
  readonly apiKeys: readonly Applied<SectionValue<"apiKeys">>[];
  readonly tokens: readonly Applied<SectionValue<"jwt">>[];
  readonly rateLimits: readonly Applied<SectionValue<"rateLimit">>[];
  readonly maxBytes: number | undefined;
}

/** What policies ask that have no others beside them, as nearly always. */
const askedAlone = new WeakMap<Effective, Asked>();

function askedOf(effective: Effective, similar: readonly Effective[]): Asked {
  if (similar.length > 0) return gather([effective, ...similar]);
  const known = askedAlone.get(effective);
  if (known !== undefined) return known;
  const asked = gather([effective]);
  askedAlone.set(effective, asked);
  return asked;
}

function gather(all: readonly Effective[]): Asked {
  const given = <Value>(of: (one: Effective) => Value | undefined) =>
    all.map(of).filter((value): value is Value & {} => value !== undefined);
  const sizes = given(({ request }) => request?.value.maxBytes);
  return {
    apiKeys: given(({ apiKeys }) => apiKeys),
    tokens: given(({ jwt }) => jwt),
    rateLimits: given(({ rateLimit }) => rateLimit),
    maxBytes: sizes.length === 0 ? undefined : Math.min(...sizes),
  };
}

function filter(
  { request, jwt, apiKeys }: Effective,
  headers: HeaderMap,
  claims: Claims | undefined,
  holder: string | undefined,
): HeaderMap {
  let kept = request?.value.allowHeaders === undefined ? headers : onlyHeaders(headers, request.value.allowHeaders);
  if (jwt !== undefined) kept = withoutToken(jwt.value, kept);
  if (apiKeys !== undefined)
    kept = Object.fromEntries(Object.entries(kept).filter(([name]) => name !== apiKeys.value.header));
  if (claims !== undefined)
    kept = { ...kept, "mecha-claims": Buffer.from(JSON.stringify(claims)).toString("base64url") };
  if (holder !== undefined) kept = { ...kept, "mecha-api-key": holder };
  return kept;
}

/** RFC 6750, section 3: what a caller who proved nothing is told to show. */
function challenge(headers: HeaderMap | undefined, refusal: unknown): HeaderMap | undefined {
  if (!(refusal instanceof ComponentError) || refusal.reason !== "BAD_TOKEN") return headers;
  return { ...headers, "www-authenticate": 'Bearer error="invalid_token"' };
}

function busy(app: string): ComponentError {
  const message = `app "${app}" has as many calls as it takes`;
  return new ComponentError("APP_UNAVAILABLE", message, { metadata: { app }, retryAfterMs: 1_000 });
}
