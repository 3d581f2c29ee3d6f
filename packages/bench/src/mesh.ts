// What a call from app to app through two runtimes costs, mutual TLS, policies and telemetry and all, against the same call made directly, in the same run.
//
//   pnpm bench mesh [--json]
//
// Four processes: h2load calls, through the runtime "shop" and the runtime "orders", an app that echoes. Requests leave at a fixed rate, whether
// the ones before were answered or not. Not measured: what a second runtime's machine or a network would add; all four share this machine's cores.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { residentMemoryMiB } from "@mecha/e2e/memory";
import { cpuMicros } from "./cpu.ts";
import { watchMachine } from "./machine.ts";
import { paced, throughput } from "./mesh/load.ts";

const bars = { p50Ms: 0.8, p90Ms: 1.5, p99Ms: 3 };
const perSecond = 1_000;
const rounds = 7;
const callers = 32;
const roundSeconds = 3;
/** How long each way is called before anything counts: until V8 has compiled what is called often, the last of it after some 10,000 calls. */
const warmUpSeconds = 20;
const bigBytes = 1024 ** 3;
const children: ChildProcess[] = [];

interface Percentiles {
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
}

async function start(args: string[], cwd: string, pattern: RegExp): Promise<{ url: string; pid: number }> {
  const child = spawn(process.execPath, args, { cwd, stdio: ["pipe", "pipe", "inherit"] });
  children.push(child);
  if (child.stdout === null || child.pid === undefined) throw new Error(`${args[0]} did not start`);
  for await (const line of createInterface(child.stdout)) {
    const found = pattern.exec(line)?.[1];
    if (found !== undefined) {
      child.stdout.resume();
      return { url: found, pid: child.pid };
    }
  }
  throw new Error(`${args[0]} ended before it was ready`);
}

const percent = (share: number) => `${Math.round(share * 100)} %`;
const at = (sorted: readonly number[], share: number) => sorted[Math.floor(sorted.length * share)] ?? Number.NaN;
const percentiles = (sorted: readonly number[]): Percentiles => ({
  p50Ms: at(sorted, 0.5),
  p90Ms: at(sorted, 0.9),
  p99Ms: at(sorted, 0.99),
});

/** Sends 1 GiB through and back; the most memory that each runtime held meanwhile, in MiB more than before. */
async function big(url: string, pids: readonly number[]): Promise<{ seconds: number; growthMiB: number }> {
  const before = pids.map(residentMemoryMiB);
  let growthMiB = 0;
  let done = false;
  const watching = (async () => {
    while (!done) {
      const now = pids.map(residentMemoryMiB);
      growthMiB = Math.max(growthMiB, ...now.map((value, index) => value - (before[index] ?? 0)));
      await delay(50);
    }
  })();
  const begin = performance.now();
  const outgoing = httpRequest(url, { method: "POST", headers: { "content-length": bigBytes } });
  const answered = once(outgoing, "response") as Promise<[IncomingMessage]>;
  const chunk = Buffer.alloc(64 * 1024, "x");
  const sending = (async () => {
    for (let sent = 0; sent < bigBytes; sent += chunk.length) {
      if (!outgoing.write(chunk)) await once(outgoing, "drain");
    }
    outgoing.end();
  })();
  let received = 0;
  const [response] = await answered;
  for await (const piece of response as AsyncIterable<Buffer>) received += piece.length;
  await sending;
  done = true;
  await watching;
  if (received !== bigBytes) throw new Error(`${received} of ${bigBytes} bytes came back`);
  return { seconds: (performance.now() - begin) / 1000, growthMiB };
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { json: { type: "boolean", default: false } } });
  const cwd = await mkdtemp(join(tmpdir(), "mecha-mesh-"));
  try {
    const app = await start([fileURLToPath(new URL("./mesh/app.ts", import.meta.url))], cwd, /^(http:.*)$/);
    const cli = fileURLToPath(new URL("../../cli/dist/mecha.js", import.meta.url));
    const serve = (id: string, ...more: string[]) =>
      start([cli, "serve", "--app-id", id, "--port", "0", ...more], cwd, /"endpoint":"(http:[^"]+)".*"ready"/);
    const orders = await serve("orders", "--app-port", new URL(app.url).port);
    const shop = await serve("shop");
    const through = `${shop.url}/invoke/orders/echo`;
    const direct = `${app.url}/echo`;
    for (const deadline = performance.now() + 20_000; ; await delay(100)) {
      if ((await fetch(through, { method: "POST", body: "x" })).ok) break;
      if (performance.now() > deadline) throw new Error("the app is not found");
    }
    const runtimes = [shop.pid, orders.pid];
    const samples: { direct: Percentiles; through: Percentiles }[] = [];
    let cpu = 0;
    await paced(direct, perSecond, warmUpSeconds);
    const cold = percentiles(await paced(through, perSecond, warmUpSeconds));
    const machine = watchMachine();
    // Taking turns, so that what else the machine does hits both alike.
    for (let round = 0; round < rounds; round++) {
      const plain = percentiles(await paced(direct, perSecond, roundSeconds));
      const before = cpuMicros(...runtimes);
      const meshed = await paced(through, perSecond, roundSeconds);
      const used = cpuMicros(...runtimes) - before;
      samples.push({ direct: plain, through: percentiles(meshed) });
      cpu += used / meshed.length / rounds;
    }
    const { busy, stolen } = machine();
    const median = (of: (sample: (typeof samples)[number]) => number) =>
      samples.map(of).sort((a, b) => a - b)[Math.floor(samples.length / 2)] ?? Number.NaN;
    const rows = (["p50Ms", "p90Ms", "p99Ms"] as const).map((name) => ({
      percentile: name.slice(0, 3),
      directMs: median(({ direct: plain }) => plain[name]),
      throughMs: median(({ through: meshed }) => meshed[name]),
      addedMs: median((sample) => sample.through[name] - sample.direct[name]),
      barMs: bars[name],
    }));
    const rates = {
      direct: await throughput(direct, callers, roundSeconds),
      through: await throughput(through, callers, roundSeconds),
    };
    const gigabyte = await big(through, runtimes);
    const result = { perSecond, rows, cpuMicrosPerCall: cpu, throughput: rates, gigabyte, cold, busy, stolen };
    if (values.json) console.log(JSON.stringify(result));
    else {
      const round = (value: number) => Number(value.toFixed(2));
      console.log(
        `1 KiB echo at ${perSecond} calls/s, mutual TLS between the runtimes; medians of ${rounds} rounds of ${roundSeconds} s`,
      );
      console.table(
        rows.map(({ percentile, directMs, throughMs, addedMs, barMs }) => ({
          percentile,
          "direct ms": round(directMs),
          "through ms": round(throughMs),
          "added ms": round(addedMs),
          "bar ms": barMs,
        })),
      );
      console.log(`The machine was busy to ${percent(busy)}; ${percent(stolen)} of its time went to other machines`);
      const first = `${round(cold.p50Ms)}, ${round(cold.p90Ms)} and ${round(cold.p99Ms)} ms`;
      console.log(`The first ${warmUpSeconds} s through, while code is compiled: ${first} at p50, p90 and p99`);
      console.log(`CPU of both runtimes: ${Math.round(cpu)} µs a call`);
      console.log(`${callers} callers: ${Math.round(rates.direct)}/s directly, ${Math.round(rates.through)}/s through`);
      console.log(
        `1 GiB there and back: ${round(gigabyte.seconds)} s, at most ${Math.round(gigabyte.growthMiB)} MiB more`,
      );
    }
    for (const { percentile, addedMs, barMs } of rows) {
      if (addedMs <= barMs) continue;
      console.error(`✗ ${percentile}: ${addedMs.toFixed(2)} ms added, not ${barMs}`);
      process.exitCode = 1;
    }
  } finally {
    for (const child of children) child.kill();
    await rm(cwd, { recursive: true, force: true });
  }
}

await main();
