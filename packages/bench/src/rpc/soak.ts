// Does anything pile up? Calls of all kinds at about 80 % of one core, with random cancels, resets and timeouts.
//
//   pnpm --filter @mecha/bench exec node --expose-gc src/rpc/soak.ts [--minutes 10]
//
// Fails when memory keeps growing, when sockets, timers or handlers are left once all calls have ended, or when a call ends otherwise than it may.
import * as net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { DescMethodUnary, Message } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter, createClient } from "@connectrpc/connect";
import { createTransport, serve } from "@mecha/rpc";
import { BenchService, toItem } from "./service.ts";

const { values } = parseArgs({ options: { minutes: { type: "string", default: "10" } } });
const minutes = Number(values.minutes);
const callers = 32;
const targetLoad = 0.8;

let handling = 0;
const routes = (router: ConnectRouter) => {
  router.rpc(BenchService.method.get as DescMethodUnary, async (_request, context) => {
    handling++;
    try {
      if (Math.random() < 0.3) {
        const { signal } = context;
        // What it is stopped by is told; its own AbortError would be an "internal error".
        await sleep(Math.random() * 20, undefined, { signal }).catch(() => signal.throwIfAborted());
      }
      if (Math.random() < 0.02) throw new ConnectError("now and then", Code.Aborted);
      return toItem("key");
    } finally {
      handling--;
    }
  });
  router.rpc(
    BenchService.method.chat as never,
    async function* (messages: AsyncIterable<Message>) {
      handling++;
      try {
        yield* messages;
      } finally {
        handling--;
      }
    } as never,
  );
};

const resourcesBefore = countResources();
const server = await serve({ routes });
const wire = await startWire(Number(new URL(server.endpoint).port));
const transports = (["connect", "grpc"] as const).map((protocol) =>
  createTransport({ endpoint: wire.endpoint, protocol }),
);
const clients = transports.map(
  (transport) =>
    createClient(BenchService, transport) as unknown as {
      get(request: object, options: object): Promise<unknown>;
      chat(requests: AsyncIterable<object>, options: object): AsyncIterable<unknown>;
    },
);

const outcomes: Record<string, number> = {};
const end = performance.now() + minutes * 60_000;
let pauseMs = 0;
const samples: number[] = [];
const running = Array.from({ length: callers }, (_, index) => callForever(index));
await Promise.all([...running, watch()]);

for (const transport of transports) await transport.close();
await wire.close();
await server.close();
await sleep(500);
const left = Object.entries(countResources()).filter(([name, count]) => count > (resourcesBefore[name] ?? 0));
const [early, late] = [median(samples.slice(0, samples.length / 3)), median(samples.slice(-samples.length / 3))];
console.log({ outcomes, handling, left, heapMiB: { early, late } });
/** "Unavailable" is what becomes of calls whose connection is reset. */
const allowed = ["ok", "Aborted", "Canceled", "DeadlineExceeded", "Unavailable"];
const odd = Object.keys(outcomes).filter((outcome) => !allowed.includes(outcome));
const failures = [
  odd.length > 0 && `calls ended as ${odd.join(", ")}`,
  outcomes.Unavailable === undefined && "no connection was reset under a call",
  handling !== 0 && `${handling} handlers still run`,
  left.length > 0 && `left over: ${left.map(([name, count]) => `${count} ${name}`).join(", ")}`,
  late > early * 1.2 + 2 && `the heap grew from ${early.toFixed(1)} to ${late.toFixed(1)} MiB`,
].filter(Boolean);
console.log(failures.length === 0 ? "Nothing piled up." : failures.join("\n"));
process.exitCode = failures.length === 0 ? 0 : 1;

async function callForever(index: number): Promise<void> {
  while (performance.now() < end) {
    const outcome = await callOnce(clients[index % clients.length] ?? clients[0]).then(
      () => "ok",
      (reason: unknown) => Code[ConnectError.from(reason).code] ?? "unknown",
    );
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    if (pauseMs > 0) await sleep(pauseMs);
  }
}

async function callOnce(client: (typeof clients)[number] | undefined): Promise<void> {
  if (client === undefined) throw new Error("there is no client");
  const options: { signal?: AbortSignal; timeoutMs?: number } = {};
  const dice = Math.random();
  if (dice < 0.05) options.timeoutMs = Math.ceil(Math.random() * 10);
  else if (dice < 0.1) {
    const abort = new AbortController();
    options.signal = abort.signal;
    setTimeout(() => abort.abort(), Math.random() * 10);
  }
  if (Math.random() < 0.8) {
    await client.get({ key: "order-1" }, options);
    return;
  }
  const item = toItem("key");
  const count = Math.ceil(Math.random() * 50);
  async function* send() {
    for (let index = 0; index < count; index++) yield item;
  }
  for await (const _ of client.chat(send(), options));
}

/** What lies between the clients and the server: about once a second it resets a connection, whatever is under way on it. */
async function startWire(target: number) {
  const sockets = new Set<net.Socket>();
  const wire = net.createServer((near) => {
    const far = net.connect(target, "127.0.0.1");
    sockets.add(near);
    near.once("close", () => {
      sockets.delete(near);
      far.destroy();
    });
    far.once("close", () => near.destroy());
    for (const socket of [near, far]) socket.setNoDelay(true).on("error", () => {});
    near.pipe(far).pipe(near);
  });
  await new Promise<void>((resolve) => wire.listen(0, "127.0.0.1", resolve));
  const timer = setInterval(() => {
    const all = [...sockets];
    all[Math.floor(Math.random() * all.length)]?.resetAndDestroy();
  }, 1_000);
  return {
    endpoint: `http://127.0.0.1:${(wire.address() as net.AddressInfo).port}`,
    close: () => {
      clearInterval(timer);
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => wire.close(resolve));
    },
  };
}

/** Keeps the load where it should be, and looks at the heap. */
async function watch(): Promise<void> {
  let cpu = process.cpuUsage();
  for (let second = 0; performance.now() < end; second++) {
    await sleep(1000);
    const { user, system } = process.cpuUsage(cpu);
    cpu = process.cpuUsage();
    const load = (user + system) / 1e6;
    pauseMs = Math.max(0, pauseMs + (load > targetLoad ? 0.5 : -0.5));
    if (second % 5 !== 4) continue;
    globalThis.gc?.();
    samples.push(process.memoryUsage().heapUsed / 1024 / 1024);
  }
}

function countResources(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of process.getActiveResourcesInfo()) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}
