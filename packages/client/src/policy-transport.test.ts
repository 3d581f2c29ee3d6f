import {
  Code,
  ConnectError,
  createClient,
  createRouterTransport,
  type HandlerContext,
  type Transport,
} from "@connectrpc/connect";
import { ErrorInfoSchema, RetryInfoSchema } from "@mecha/api/rpc";
import { StateService } from "@mecha/api/state";
import { describe, expect, it } from "vitest";
import { abortError, MechaError } from "./errors.js";
import { type Policies, policyTransport } from "./policy-transport.js";
import { resolveRetryOptions, type Waiting } from "./retry.js";

const policies: Policies = { token: undefined, timeoutMs: 10_000, retry: resolveRetryOptions(), retryWrites: false };

/** A client that nobody closes. */
const open = new AbortController().signal;

/** Time that passes only while somebody waits. */
function turnableTime(whileWaiting = () => {}) {
  const waits: number[] = [];
  const waiting: Waiting = {
    now: () => waits.reduce((sum, wait) => sum + wait, 0.1),
    random: () => 1,
    async sleep(delayMs, signal) {
      waits.push(delayMs);
      whileWaiting();
      if (signal?.aborted) throw abortError(signal);
    },
  };
  return { waits, waiting };
}

/** A client of a runtime that fails with `failures`, one after the other, and then answers. */
function clientOf(failures: unknown[], options: Partial<Policies> = {}, whileWaiting = () => {}) {
  const calls: { requestId: string; timeoutMs: number | undefined; header: Headers }[] = [];
  const answer = (requestId: string, context: HandlerContext) => {
    calls.push({ requestId, timeoutMs: context.timeoutMs(), header: context.requestHeader });
    if (failures.length > 0) throw failures.shift();
    return {};
  };
  const handlers = createRouterTransport(({ service }) =>
    service(StateService, {
      get: (_request, context) => answer("", context),
      set: ({ requestId }, context) => answer(requestId, context),
    }),
  );
  const { waits, waiting } = turnableTime(whileWaiting);
  const rpc = createClient(StateService, policyTransport(handlers, { ...policies, ...options }, open, waiting));
  return { rpc, calls, waits };
}

/** A transport whose connection breaks: what no handler can do. */
function brokenTransport(failures: unknown[], options: Partial<Policies> = {}) {
  const { waits, waiting } = turnableTime();
  let attempts = 0;
  const transport: Transport = {
    unary: () => Promise.reject(failures[Math.min(attempts++, failures.length - 1)]),
    stream: () => Promise.reject(failures[0]),
  };
  return {
    rpc: createClient(StateService, policyTransport(transport, { ...policies, ...options }, open, waiting)),
    attempts: () => attempts,
    waits,
  };
}

const away = (retryMs?: number) =>
  new ConnectError("the store is away", Code.Unavailable, undefined, [
    { desc: ErrorInfoSchema, value: { domain: "mecha.dev", reason: "COMPONENT_UNAVAILABLE" } },
    ...(retryMs === undefined
      ? []
      : [{ desc: RetryInfoSchema, value: { retryDelay: { nanos: retryMs * 1_000_000 } } }]),
  ]);
const reason = (name: string, code: Code) =>
  new ConnectError(name, code, undefined, [{ desc: ErrorInfoSchema, value: { domain: "mecha.dev", reason: name } }]);
const lost = new ConnectError(
  "lost",
  Code.Aborted,
  undefined,
  undefined,
  Object.assign(new Error(), { code: "ECONNRESET" }),
);
const refused = new ConnectError(
  "refused",
  Code.Unavailable,
  undefined,
  undefined,
  Object.assign(new Error(), { code: "ECONNREFUSED" }),
);

describe("retries", () => {
  it("sends a call again that was not done, waiting longer each time", async () => {
    const { rpc, calls, waits } = clientOf([away(), away(), away()]);
    await rpc.set({ key: "a" });
    expect(calls).toHaveLength(4);
    expect(waits).toEqual([50, 100, 200]);
  });

  it("waits as long as the runtime asks for", async () => {
    const { rpc, waits } = clientOf([away(700)]);
    await rpc.get({ key: "a" });
    expect(waits).toEqual([725]);
  });

  it("ends with the last error after the last attempt", async () => {
    const { rpc, calls } = clientOf(
      Array.from({ length: 5 }, () => away()),
      { retry: resolveRetryOptions({ maxAttempts: 3 }) },
    );
    await expect(rpc.get({ key: "a" })).rejects.toMatchObject({ reason: "COMPONENT_UNAVAILABLE" });
    expect(calls).toHaveLength(3);
  });

  it("does not begin a wait that outlasts the deadline", async () => {
    const { rpc, waits } = clientOf(Array.from({ length: 5 }, () => away()));
    await expect(rpc.get({ key: "a" }, { timeoutMs: 200 })).rejects.toMatchObject({ reason: "COMPONENT_UNAVAILABLE" });
    expect(waits).toEqual([50, 100]);
  });

  it("gives every attempt what is left of the deadline", async () => {
    const { rpc, calls } = clientOf([away(), away()]);
    await rpc.get({ key: "a" }, { timeoutMs: 5000 });
    const [first, second, third] = calls.map(({ timeoutMs }) => timeoutMs ?? 0);
    expect(first).toBeLessThanOrEqual(5000);
    expect(second).toBeLessThanOrEqual(4950);
    expect(third).toBeLessThanOrEqual(4850);
    expect(third).toBeGreaterThan(4000);
  });

  it("can be turned off", async () => {
    const { rpc, calls } = clientOf([away()], { retry: resolveRetryOptions(false) });
    await expect(rpc.get({ key: "a" })).rejects.toBeInstanceOf(MechaError);
    expect(calls).toHaveLength(1);
  });

  it.each([
    reason("ETAG_MISMATCH", Code.Aborted),
    reason("BAD_REQUEST", Code.InvalidArgument),
    reason("TOO_LARGE", Code.ResourceExhausted),
    new ConnectError("a bug", Code.Internal),
  ])("never sends again what would fail again: %s", async (failure) => {
    const { rpc, calls } = clientOf([failure]);
    await expect(rpc.get({ key: "a" })).rejects.toBeInstanceOf(MechaError);
    expect(calls).toHaveLength(1);
  });

  it("stops waiting when the caller cancels", async () => {
    const controller = new AbortController();
    const { rpc, calls } = clientOf([away(), away()], {}, () => controller.abort());
    await expect(rpc.get({ key: "a" }, { signal: controller.signal })).rejects.toMatchObject({ code: "canceled" });
    expect(calls).toHaveLength(1);
  });
});

describe("a write that may have been done", () => {
  it("is not sent again: OUTCOME_UNKNOWN, from the runtime or because the connection was lost", async () => {
    const { rpc, calls } = clientOf([reason("OUTCOME_UNKNOWN", Code.Unknown)]);
    await expect(rpc.set({ key: "a" })).rejects.toMatchObject({ code: "unknown", reason: "OUTCOME_UNKNOWN" });
    expect(calls).toHaveLength(1);

    const broken = brokenTransport([lost]);
    await expect(broken.rpc.set({ key: "a" })).rejects.toMatchObject({
      code: "unknown",
      reason: "OUTCOME_UNKNOWN",
      cause: lost,
    });
    expect(broken.attempts()).toBe(1);
  });

  it("is sent again with its request id", async () => {
    const { rpc, calls } = clientOf([reason("OUTCOME_UNKNOWN", Code.Unknown)]);
    await rpc.set({ key: "a", requestId: "r-1" });
    expect(calls.map(({ requestId }) => requestId)).toEqual(["r-1", "r-1"]);
  });

  it("gets one request id for all its attempts with retryWrites", async () => {
    const { rpc, calls } = clientOf([reason("OUTCOME_UNKNOWN", Code.Unknown)], { retryWrites: true });
    await rpc.set({ key: "a" });
    await rpc.set({ key: "a" });
    const [first, again, other] = calls.map(({ requestId }) => requestId);
    expect(first).toMatch(/^[0-9a-z-]{10,40}$/);
    expect(again).toBe(first);
    expect(other).not.toBe(first);
  });

  it("is sent again when no connection was made at all", async () => {
    const broken = brokenTransport([refused, refused, reason("BAD_REQUEST", Code.InvalidArgument)]);
    await expect(broken.rpc.set({ key: "a" })).rejects.toMatchObject({ reason: "BAD_REQUEST" });
    expect(broken.attempts()).toBe(3);
  });
});

describe("a write that may have been done in an earlier attempt", () => {
  const twice = { retry: resolveRetryOptions({ maxAttempts: 2 }) };

  it("throws OUTCOME_UNKNOWN when no attempt gets an answer, though the last one did nothing", async () => {
    for (const last of [refused, away()]) {
      const { rpc, attempts } = brokenTransport([lost, last], twice);
      await expect(rpc.set({ key: "a", requestId: "r-1" })).rejects.toMatchObject({ reason: "OUTCOME_UNKNOWN" });
      expect(attempts()).toBe(2);
    }
  });

  it("throws what the runtime answers in the end: with a request id that is the answer to the first attempt too", async () => {
    const { rpc } = brokenTransport([lost, reason("ETAG_MISMATCH", Code.Aborted)], twice);
    await expect(rpc.set({ key: "a", requestId: "r-1" })).rejects.toMatchObject({ reason: "ETAG_MISMATCH" });
  });
});

describe("a closed client", () => {
  it("refuses calls, and takes what its closing cut off for canceled", async () => {
    const closed = new AbortController();
    const { waiting } = turnableTime();
    const cutByClose: Transport = {
      unary() {
        closed.abort();
        return Promise.reject(new ConnectError("closed", Code.Canceled));
      },
      stream: () => Promise.reject(new ConnectError("closed", Code.Canceled)),
    };
    const rpc = createClient(StateService, policyTransport(cutByClose, policies, closed.signal, waiting));
    await expect(rpc.set({ key: "a" })).rejects.toMatchObject({ code: "canceled", message: "closed" });
    await expect(rpc.get({ key: "a" })).rejects.toMatchObject({ code: "canceled", message: "this client is closed" });
    await expect(rpc.watch({})[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: "canceled" });
  });
});

it("sends a read again whose connection was lost", async () => {
  const broken = brokenTransport([lost, reason("BAD_REQUEST", Code.InvalidArgument)]);
  await expect(broken.rpc.get({ key: "a" })).rejects.toMatchObject({ reason: "BAD_REQUEST" });
  expect(broken.attempts()).toBe(2);
});

it('takes "canceled" for a lost connection when the caller did not cancel: HTTP/2 calls it so', async () => {
  const cut = new ConnectError("http/2 stream closed with error code CANCEL (0x8)", Code.Canceled);
  const failure = { reason: "RUNTIME_UNAVAILABLE", cause: cut };
  const { rpc } = brokenTransport([cut]);
  await expect(rpc.set({ key: "a" })).rejects.toMatchObject({ reason: "OUTCOME_UNKNOWN", cause: cut });
  await expect(rpc.get({ key: "a" })).rejects.toMatchObject(failure);
  await expect(rpc.watch({})[Symbol.asyncIterator]().next()).rejects.toMatchObject(failure);
});

it("says that the runtime is unavailable when it never came", async () => {
  const broken = brokenTransport([refused]);
  await expect(broken.rpc.get({ key: "a" })).rejects.toMatchObject({
    code: "unavailable",
    reason: "RUNTIME_UNAVAILABLE",
    message: expect.stringContaining("is it running?"),
  });
  // 50 + 100 + … + 2000 ms, and then nothing more fits into 10 s.
  expect(broken.waits).toEqual([50, 100, 200, 400, 800, 1600, 2000, 2000, 2000]);
});

describe("the token", () => {
  it("goes with every call, beside the caller's headers", async () => {
    const { rpc, calls } = clientOf([], { token: "s3cret" });
    await rpc.get({ key: "a" }, { headers: { "x-trace": "1" } });
    expect(calls[0]?.header.get("authorization")).toBe("Bearer s3cret");
    expect(calls[0]?.header.get("x-trace")).toBe("1");
  });

  it("gives way to an authorization header of the call's", async () => {
    const { rpc, calls } = clientOf([], { token: "s3cret" });
    await rpc.get({ key: "a" }, { headers: { authorization: "Bearer other" } });
    expect(calls[0]?.header.get("authorization")).toBe("Bearer other");
  });
});

it("refuses a deadline that a timer cannot keep", async () => {
  const { rpc } = clientOf([]);
  await expect(rpc.get({ key: "a" }, { timeoutMs: 2 ** 31 })).rejects.toMatchObject({ reason: "BAD_REQUEST" });
});

describe("a stream", () => {
  /** Reads a stream that fails at its start, or after its first message. */
  async function read(failure: ConnectError, at: "start" | "middle") {
    const handlers = createRouterTransport(({ service }) =>
      service(StateService, {
        async *watch() {
          if (at === "middle") yield { resumeToken: "1" };
          throw failure;
        },
      }),
    );
    const rpc = createClient(StateService, policyTransport(handlers, policies, open));
    for await (const { resumeToken } of rpc.watch({})) expect(resumeToken).toBe("1");
  }

  it.each(["start", "middle"] as const)("throws MechaErrors, here at its %s", async (at) => {
    const failure = reason("COMPONENT_REPLACED", Code.Unavailable);
    await expect(read(failure, at)).rejects.toMatchObject({ name: "MechaError", reason: "COMPONENT_REPLACED" });
  });

  it("that was cut off while it worked is a lost connection, and one that never worked is not", async () => {
    const half = new ConnectError("protocol error: promised 10 bytes, got 3", Code.InvalidArgument);
    await expect(read(half, "middle")).rejects.toMatchObject({ reason: "RUNTIME_UNAVAILABLE" });
    await expect(read(half, "start")).rejects.toMatchObject({ reason: "INVALID_ARGUMENT" });
    await expect(read(reason("INTERNAL", Code.Internal), "middle")).rejects.toMatchObject({ reason: "INTERNAL" });
  });
});
