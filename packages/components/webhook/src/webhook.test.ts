import type { Component, InputLease, InputSource, Settlement } from "@mecha/component";
import { bindingConformance, createManualClock, startComponent } from "@mecha/component/conformance";
import { describe, expect, onTestFinished, test } from "vitest";
import { post, type Sent, signPlain, signStandard, signStripe } from "../test/sender.js";
import { webhook } from "./index.js";

const secret = "a secret of some length";
const standardSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

describe("conformance", () => {
  const clock = createManualClock();
  let count = 0;
  const cases = bindingConformance({
    open: () => startComponent(webhook, { secrets: [secret] }, { clock }),
    features: ["INPUT"],
    redelivers: "sender",
    trigger: (component) => void post(component, signPlain(`event ${++count}`, secret)),
    advance: clock.advance,
  });
  for (const { name, run } of cases) test(name, run);
});

async function open(config: Record<string, unknown> = {}) {
  const clock = createManualClock();
  const component = await startComponent(webhook, { secrets: [secret], ...config }, { clock });
  onTestFinished(() => component.close());
  return { component, clock };
}

/** An app that takes events, and what it was handed. */
function consume(component: Component) {
  const source: InputSource | undefined = component.blocks.binding?.input?.consume({ keyspace: "default/shop" });
  if (source === undefined) throw new Error("a webhook has events");
  const next = async (): Promise<InputLease> => {
    const call = { maxItems: 1, maxBytes: 1e6, leaseMs: 30_000, signal: AbortSignal.timeout(10_000) };
    const [lease] = await source.receive(call);
    if (lease === undefined) throw new Error("no event came");
    return lease;
  };
  const settle = async (settlement: Settlement) => (await source.settle([settlement]))[0];
  return { source, next, settle };
}

/** Whether an app that acks everything was handed what was sent, and how the sender was answered. */
async function send(component: Component, sent: Sent): Promise<number> {
  const { source } = consume(component);
  const over = new AbortController();
  const acking = (async () => {
    while (!over.signal.aborted) {
      const leases = await source.receive({ maxItems: 10, maxBytes: 1e6, leaseMs: 30_000, signal: over.signal });
      await source.settle(leases.map(({ handle }) => ({ type: "ack", handle })));
    }
  })();
  const { status } = await post(component, sent);
  over.abort();
  await acking;
  await source.close();
  return status;
}

describe("a sender", () => {
  test("is answered 200 once the app acked, not before", async () => {
    const { component } = await open({ forwardHeaders: ["X-GitHub-Event"], idHeader: "x-github-delivery" });
    const { next, settle } = consume(component);
    const { body, headers } = signPlain('{"n":1}', secret);
    let answered = false;
    const answer = post(component, {
      body,
      headers: { ...headers, "content-type": "application/json", "x-github-event": "push", "x-github-delivery": "d-1" },
    });
    void answer.then(() => {
      answered = true;
    });
    const lease = await next();
    expect(lease.event).toMatchObject({
      id: "d-1",
      contentType: "application/json",
      metadata: { path: "/x?y=1", "header.x-github-event": "push" },
    });
    expect(Buffer.from(lease.event.data).toString()).toBe(body);
    await new Promise(setImmediate);
    expect(answered).toBe(false);
    await settle({ type: "ack", handle: lease.handle });
    expect((await answer).status).toBe(200);
  });

  test("is told to send again when nobody takes it, when the app failed, and when it is not done in time", async () => {
    const { component, clock } = await open({ timeoutMs: 5_000 });
    expect(await post(component, signPlain("1", secret))).toMatchObject({
      status: 503,
      headers: { "retry-after": "5" },
    });
    const { next, settle } = consume(component);
    const failed = post(component, signPlain("2", secret));
    await settle({ type: "retry", handle: (await next()).handle, afterMs: 2_500, error: "no" });
    expect(await failed).toMatchObject({ status: 503, headers: { "retry-after": "3" } });
    const late = post(component, signPlain("3", secret));
    const lease = await next();
    clock.advance(5_000);
    expect((await late).status).toBe(503);
    expect(await settle({ type: "ack", handle: lease.handle })).toBe(true);
    const never = post(component, signPlain("4", secret));
    clock.advance(5_000);
    expect((await never).status).toBe(503);
    const refused = post(component, signPlain("5", secret));
    const last = await next();
    expect(Buffer.from(last.event.data).toString(), "what was given up was taken back").toBe("5");
    await settle({ type: "dead", handle: last.handle, error: "never" });
    expect((await refused).status).toBe(422);
  });

  test("that hangs up takes its event back", async () => {
    const { component } = await open();
    const { source } = consume(component);
    const gone = new AbortController();
    const answer = post(component, signPlain("1", secret), gone.signal);
    gone.abort();
    expect((await answer).status).toBe(503);
    const call = { maxItems: 1, maxBytes: 1e6, leaseMs: 30_000, signal: AbortSignal.abort() };
    expect(await source.receive(call)).toEqual([]);
  });

  test("waits with so many others and no more, and is answered when the runtime stops", async () => {
    const { component } = await open({ maxWaiting: 2 });
    consume(component);
    const waiting = [post(component, signPlain("1", secret)), post(component, signPlain("2", secret))];
    expect((await post(component, signPlain("3", secret))).status).toBe(503);
    await component.close();
    expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual([503, 503]);
  });

  test("can only post", async () => {
    const { component } = await open();
    const got = await post(component, signPlain("1", secret), undefined, "GET");
    expect(got).toMatchObject({ status: 405, headers: { allow: "POST" } });
  });
});

describe("a signature", () => {
  test.each<[string, Record<string, unknown>, (clock: number) => Sent]>([
    ["of the body", {}, () => signPlain("b", secret)],
    ["of an older secret", { secrets: ["another secret", secret] }, () => signPlain("b", secret)],
    ["of Stripe", { scheme: "stripe" }, (now) => signStripe("b", secret, now)],
    [
      "of the standard",
      { scheme: "standard-webhooks", secrets: [standardSecret] },
      (now) => signStandard("b", standardSecret, "m-1", now),
    ],
    [
      "in base64 in another header",
      { header: "X-Shopify-Hmac-Sha256", prefix: "", encoding: "base64" },
      () => {
        const [hex = ""] = Object.values(signPlain("b", secret).headers);
        return { body: "b", headers: { "x-shopify-hmac-sha256": Buffer.from(hex.slice(7), "hex").toString("base64") } };
      },
    ],
  ])("%s is taken", async (_, config, sent) => {
    const { component, clock } = await open(config);
    expect(await send(component, sent(clock.now()))).toBe(200);
  });

  test.each<[string, Record<string, unknown>, (clock: number) => Sent]>([
    ["of another body", {}, () => ({ ...signPlain("b", secret), body: "c" })],
    ["of another secret", {}, () => signPlain("b", "another secret")],
    ["that is missing", {}, () => ({ body: "b", headers: {} })],
    ["that is empty", {}, () => ({ body: "b", headers: { "x-hub-signature-256": "sha256=" } })],
    ["that is no hex", {}, () => ({ body: "b", headers: { "x-hub-signature-256": `sha256=${"z".repeat(64)}` } })],
    [
      "without its prefix",
      {},
      () => {
        const { body, headers } = signPlain("b", secret);
        return { body, headers: { "x-hub-signature-256": headers["x-hub-signature-256"]?.slice(7) ?? "" } };
      },
    ],
    ["that is too old", { scheme: "stripe" }, (now) => signStripe("b", secret, now - 301_000)],
    ["from the future", { scheme: "stripe" }, (now) => signStripe("b", secret, now + 301_000)],
    [
      "whose time was changed",
      { scheme: "stripe" },
      (now) => {
        const { body, headers } = signStripe("b", secret, now - 400_000);
        return {
          body,
          headers: {
            "stripe-signature": headers["stripe-signature"]?.replace(/t=\d+/, `t=${Math.floor(now / 1000)}`) ?? "",
          },
        };
      },
    ],
    ["without a time", { scheme: "stripe" }, () => ({ body: "b", headers: { "stripe-signature": "v1=00" } })],
    [
      "of another id",
      { scheme: "standard-webhooks", secrets: [standardSecret] },
      (now) => {
        const { body, headers } = signStandard("b", standardSecret, "m-1", now);
        return { body, headers: { ...headers, "webhook-id": "m-2" } };
      },
    ],
  ])("%s is refused, and nothing reaches the app", async (_, config, sent) => {
    const { component, clock } = await open(config);
    const { source } = consume(component);
    expect((await post(component, sent(clock.now()))).status).toBe(401);
    expect(await source.receive({ maxItems: 1, maxBytes: 1e6, leaseMs: 1, signal: AbortSignal.abort() })).toEqual([]);
  });
});

describe("a request that is sent again", () => {
  test("after it was done is answered and not handed over again, for as long as its signature holds", async () => {
    const { component, clock } = await open({ scheme: "stripe" });
    const sent = signStripe("b", secret, clock.now());
    expect(await send(component, sent)).toBe(200);
    const { source } = consume(component);
    const again = async () => (await post(component, sent)).status;
    expect(await again()).toBe(200);
    clock.advance(299_000);
    expect(await again()).toBe(200);
    expect(await source.receive({ maxItems: 1, maxBytes: 1e6, leaseMs: 1, signal: AbortSignal.abort() })).toEqual([]);
    clock.advance(2_000);
    expect(await again()).toBe(401);
  });

  test("after it failed is handed over", async () => {
    const { component } = await open();
    const sent = signPlain("b", secret);
    expect((await post(component, sent)).status).toBe(503);
    expect(await send(component, sent)).toBe(200);
  });
});
