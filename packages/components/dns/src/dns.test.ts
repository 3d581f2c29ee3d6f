import { createSocket } from "node:dgram";
import { readFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { type Discovery, type Instance, withOptionsTable } from "@mecha/component";
import { createManualClock, discoveryConformance, startComponent } from "@mecha/component/conformance";
import * as packet from "dns-packet";
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { dns } from "./index.js";

/** What the test's DNS server knows: records by name. A name with none exists; one that is not there does not. */
const zone = new Map<string, packet.Answer[]>();
let failing = false;
let asked = 0;
const server = createSocket("udp4");
server.on("message", (message, { address, port }) => {
  const { id, questions = [] } = packet.decode(message);
  const [question] = questions;
  if (question === undefined) return;
  asked += 1;
  const records = zone.get(question.name);
  const rcode = failing ? 2 : records === undefined ? 3 : 0;
  const answers = failing ? [] : (records ?? []).filter(({ type }) => type === question.type);
  const flags = packet.RECURSION_DESIRED | packet.RECURSION_AVAILABLE | rcode;
  server.send(packet.encode({ type: "response", id: id ?? 0, flags, questions, answers }), port, address);
});

let servers: string[] = [];
beforeAll(async () => {
  await new Promise<void>((resolve) => server.bind(0, "127.0.0.1", resolve));
  servers = [`127.0.0.1:${(server.address() as AddressInfo).port}`];
  zone.set("orders.example", [
    a("orders.example", "10.0.0.2", 300),
    aaaa("orders.example", "2001:db8::1"),
    a("orders.example", "10.0.0.1", 300),
  ]);
});
afterAll(() => void server.close());

const a = (name: string, data: string, ttl: number): packet.Answer => ({ type: "A", name, data, ttl });
const aaaa = (name: string, data: string): packet.Answer => ({ type: "AAAA", name, data, ttl: 300 });
const srv = (name: string, target: string, port: number, priority: number, weight: number): packet.Answer => ({
  type: "SRV",
  name,
  ttl: 60,
  data: { target, port, priority, weight },
});

describe("conformance", () => {
  const known = ["10.0.0.1:4000", "10.0.0.2:4000", "[2001:db8::1]:4000"];
  const cases = discoveryConformance({
    features: [],
    open: () => startComponent(dns, { name: "{app}.example", port: 4000, servers }),
    known: { namespace: "default", app: "orders", addresses: known },
  });
  for (const { name, run } of cases) test(name, run);
});

async function open(config: object, clock = createManualClock()): Promise<Discovery> {
  const component = await startComponent(dns, { servers, ...config }, { clock });
  onTestFinished(() => component.close());
  const { discovery } = component.blocks;
  if (discovery === undefined) throw new Error("the component serves no discovery");
  return discovery;
}

const { signal } = new AbortController();
const call = (app: string) => ({ namespace: "default", app, signal });

test("by default an app is the headless service of its id and namespace", async () => {
  const name = "orders.default.svc.cluster.local";
  zone.set(name, [a(name, "10.1.1.1", 5)]);
  const discovery = await open({});
  expect(await discovery.resolve(call("orders"))).toMatchObject([
    { address: "10.1.1.1:3601", app: "orders", weight: 100 },
  ]);
  expect(discovery.describe(call("orders"))).toBe(`by the DNS name ${name}`);
});

test("SRV records tell ports and weights; only those of the first priority count", async () => {
  const name = "_mecha._tcp.orders.default.svc.cluster.local";
  zone.set(name, [
    srv(name, "b.example", 2, 10, 30),
    srv(name, "a.example", 1, 10, 10),
    srv(name, "spare.example", 3, 20, 100),
    srv(name, "c.example", 4, 10, 0),
  ]);
  const discovery = await open({ records: "srv" });
  const found = await discovery.resolve(call("orders"));
  expect(found?.map(({ address, weight }) => [address, weight])).toEqual([
    ["a.example:1", 333],
    ["b.example:2", 1000],
    ["c.example:4", 1],
  ]);
  zone.set(name, [srv(name, "a.example", 1, 0, 0), srv(name, "b.example", 1, 0, 0)]);
  expect((await discovery.resolve(call("orders")))?.map(({ weight }) => weight)).toEqual([100, 100]);
});

test("a name without such records is an app that is down, one that does not exist is unknown", async () => {
  zone.set("down.example", []);
  const discovery = await open({ name: "{app}.example" });
  expect(await discovery.resolve(call("down"))).toEqual([]);
  expect(await discovery.resolve(call("nobody"))).toBeUndefined();
});

test("a watch looks again when the TTL ends, tells changes only, and keeps what it knows while DNS fails", async () => {
  const clock = createManualClock();
  zone.set("shop.example", [a("shop.example", "10.0.0.1", 3)]);
  const discovery = await open({ name: "{app}.example" }, clock);
  const stop = new AbortController();
  const told: (readonly Instance[] | undefined)[] = [];
  const reading = (async () => {
    for await (const found of discovery.watch({ ...call("shop"), signal: stop.signal })) told.push(found);
  })();
  const addresses = () => told.map((found) => found?.map(({ address }) => address).join());
  /** Lets the clock run until the component has asked again. */
  const askedAfter = async (ms: number) => {
    await vi.waitFor(() => expect(clock.pending).toBe(1), { timeout: 10_000, interval: 5 });
    const before = asked;
    clock.advance(ms - 1);
    expect(asked).toBe(before);
    clock.advance(1);
    await vi.waitFor(() => expect(asked).toBeGreaterThan(before), { timeout: 10_000, interval: 5 });
    await vi.waitFor(() => expect(clock.pending).toBe(1), { timeout: 10_000, interval: 5 });
  };
  await vi.waitFor(() => expect(addresses()).toEqual(["10.0.0.1:3601"]), { timeout: 10_000, interval: 5 });
  await askedAfter(3_000);
  zone.set("shop.example", [a("shop.example", "10.0.0.2", 3_600)]);
  await askedAfter(3_000);
  expect(addresses()).toEqual(["10.0.0.1:3601", "10.0.0.2:3601"]);
  // However long the TTL: at the latest after maxRefreshMs.
  failing = true;
  await askedAfter(5_000);
  failing = false;
  zone.delete("shop.example");
  await askedAfter(1_000);
  expect(addresses()).toEqual(["10.0.0.1:3601", "10.0.0.2:3601", undefined]);
  stop.abort();
  await reading;
  expect(clock.pending).toBe(0);
});

test("while DNS does not answer, a lookup says so", async () => {
  const discovery = await open({ name: "{app}.example" });
  failing = true;
  onTestFinished(() => {
    failing = false;
  });
  await expect(discovery.resolve(call("orders"))).rejects.toMatchObject({
    reason: "COMPONENT_UNAVAILABLE",
    message: expect.stringContaining("cannot look up the DNS name orders.example"),
  });
});

test.each([
  [{ name: "orders.example" }, "{app}"],
  [{ name: "{app} example" }, "DNS name"],
  [{ servers: ["dns.example"] }, "IP address"],
  [{ port: 0 }, "port"],
])("%j is refused", async (config, words) => {
  await expect(open(config)).rejects.toThrow(words);
});

test("the README's options are those of the schema", async () => {
  const readme = new URL("../README.md", import.meta.url);
  await expect(withOptionsTable(await readFile(readme, "utf8"), dns)).toMatchFileSnapshot(readme.pathname);
});
