// What a call from app to app through two runtimes costs, mutual TLS and all, against the same call made directly, in the same run.
//
//   pnpm bench mesh [--json]
//
// Four processes: this one calls, through the runtime "shop" and the runtime "orders", an app that echoes. Requests leave at a fixed rate, whether
// the ones before were answered or not. Not measured: what a second runtime's machine or a network would add; all four share this machine's cores.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const bars = { p50Ms: 0.8, p90Ms: 1.5, p99Ms: 3 };
const perSecond = 1_000;
const rounds = 7;
const roundMs = 3_000;
const payload = Buffer.alloc(1024, "x");
const bigBytes = 1024 ** 3;
const agent = new Agent({ keepAlive: true, maxSockets: 512 });
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

/** Posts `payload` and waits for the whole answer. */
function echo(url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { "content-length": payload.length };
    const outgoing = httpRequest(url, { agent, method: "POST", headers }, (response) => {
      let received = 0;
      response.on("data", (chunk: Buffer) => {
        received += chunk.length;
      });
      response.once("end", () => {
        if (response.statusCode === 200 && received === payload.length) resolve();
        else reject(new Error(`status ${response.statusCode} with ${received} bytes`));
      });
    });
    outgoing.once("error", reject);
    outgoing.end(payload);
  });
}

/** Calls at a fixed rate, one or two a tick of the timer; the latencies, sorted. */
async function load(url: string, ms: number): Promise<number[]> {
  const latencies: number[] = [];
  const calls: Promise<void>[] = [];
  const begin = performance.now();
  for (let sent = 0; performance.now() - begin < ms; await delay(1)) {
    // Whatever held this process up is not made up for: a burst would measure the burst.
    const due = Math.min(((performance.now() - begin) * perSecond) / 1000, sent + 2);
    for (; sent < due; sent++) {
      const left = performance.now();
      calls.push(echo(url).then(() => void latencies.push(performance.now() - left)));
    }
  }
  await Promise.all(calls);
  return latencies.sort((a, b) => a - b);
}

const at = (sorted: readonly number[], share: number) => sorted[Math.floor(sorted.length * share)] ?? Number.NaN;
const percentiles = (sorted: readonly number[]): Percentiles => ({
  p50Ms: at(sorted, 0.5),
  p90Ms: at(sorted, 0.9),
  p99Ms: at(sorted, 0.99),
});

/** As many calls as 32 callers make one after the other; per second. */
async function throughput(url: string): Promise<number> {
  const begin = performance.now();
  let count = 0;
  const caller = async () => {
    for (; performance.now() - begin < roundMs; count++) await echo(url);
  };
  await Promise.all(Array.from({ length: 32 }, caller));
  return (count / (performance.now() - begin)) * 1000;
}

/** proc(5): the CPU that a process has used, in µs, and its resident memory. */
async function cpuMicros(pid: number): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, "utf8")).replace(/^.*\) /, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}
async function residentMiB(pid: number): Promise<number> {
  return Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1] ?? Number.NaN) / 1024;
}

/** Sends 1 GiB through and back; the most memory that each runtime held meanwhile, in MiB more than before. */
async function big(url: string, pids: readonly number[]): Promise<{ seconds: number; growthMiB: number }> {
  const before = await Promise.all(pids.map(residentMiB));
  let growthMiB = 0;
  let done = false;
  const watching = (async () => {
    while (!done) {
      const now = await Promise.all(pids.map(residentMiB));
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
      if (
        await echo(through).then(
          () => true,
          () => false,
        )
      )
        break;
      if (performance.now() > deadline) throw new Error("the app is not found");
    }
    const runtimes = [shop.pid, orders.pid];
    const samples: { direct: Percentiles; through: Percentiles }[] = [];
    let cpu = 0;
    // Taking turns, so that what else the machine does hits both alike. The first turns only warm up.
    for (let round = -2; round < rounds; round++) {
      const plain = percentiles(await load(direct, roundMs));
      const before = await Promise.all(runtimes.map(cpuMicros));
      const meshed = await load(through, roundMs);
      const after = await Promise.all(runtimes.map(cpuMicros));
      if (round < 0) continue;
      samples.push({ direct: plain, through: percentiles(meshed) });
      cpu += after.reduce((sum, value, index) => sum + value - (before[index] ?? 0), 0) / meshed.length / rounds;
    }
    const median = (of: (sample: (typeof samples)[number]) => number) =>
      samples.map(of).sort((a, b) => a - b)[Math.floor(samples.length / 2)] ?? Number.NaN;
    const rows = (["p50Ms", "p90Ms", "p99Ms"] as const).map((name) => ({
      percentile: name.slice(0, 3),
      directMs: median(({ direct: plain }) => plain[name]),
      throughMs: median(({ through: meshed }) => meshed[name]),
      addedMs: median((sample) => sample.through[name] - sample.direct[name]),
      barMs: bars[name],
    }));
    const rates = { direct: await throughput(direct), through: await throughput(through) };
    const gigabyte = await big(through, runtimes);
    const result = { perSecond, rows, cpuMicrosPerCall: cpu, throughput: rates, gigabyte };
    if (values.json) console.log(JSON.stringify(result));
    else {
      const round = (value: number) => Number(value.toFixed(2));
      console.log(`1 KiB echo at ${perSecond} calls/s, mutual TLS between the runtimes; medians of ${rounds} rounds`);
      console.table(
        rows.map(({ percentile, directMs, throughMs, addedMs, barMs }) => ({
          percentile,
          "direct ms": round(directMs),
          "through ms": round(throughMs),
          "added ms": round(addedMs),
          "bar ms": barMs,
        })),
      );
      console.log(`CPU of both runtimes: ${Math.round(cpu)} µs a call`);
      console.log(`32 callers: ${Math.round(rates.direct)}/s directly, ${Math.round(rates.through)}/s through`);
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
    agent.destroy();
    await rm(cwd, { recursive: true, force: true });
  }
}

await main();
