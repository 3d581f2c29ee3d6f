// What the runtime costs over the component that it runs: state get and set, called directly, through the runtime in the same process, and
// through the runtime of another process over a Unix socket and over TCP; taking turns, in one run.
//
//   pnpm --filter @mecha/bench exec node src/state.ts          a table
//   pnpm --filter @mecha/bench exec node src/state.ts --json   the same as JSON
//
// Direct calls of a store that answers at once are a loop that never lets go of the event loop: 64 callers are then one after another. It
// does not measure a network (loopback), other languages' clients, nor values larger than these.
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { StateService } from "@mecha/api/state";
import { startComponent } from "@mecha/component/conformance";
import { memory } from "@mecha/component-memory";
import { sqlite } from "@mecha/component-sqlite";
import { createTransport } from "@mecha/rpc";
import { createRuntime } from "@mecha/runtime";
import { compare, type Figures, renderFigures } from "./measure.ts";

const rounds = 5;
const roundMs = 300;
const keys = 1_000;
const valueBytes = 256;
const value = Buffer.alloc(valueBytes, "v");
const keyOf = (index: number) => `order-${index % keys}`;

/** The types that are measured, and how each is started alone. */
const types = {
  memory: () => startComponent(memory, {}),
  sqlite: (folder: string) => startComponent(sqlite, { path: join(folder, "mecha.db") }),
};
type TypeName = keyof typeof types;

/** One way to reach the store. */
interface Subject {
  readonly name: string;
  readonly get: (index: number) => unknown;
  readonly set: (index: number) => unknown;
}

interface Row extends Figures {
  readonly component: TypeName;
  readonly operation: "get" | "set";
  readonly callers: number;
  readonly subject: string;
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { json: { type: "boolean", default: false }, serve: { type: "string" } } });
  if (values.serve !== undefined) return serve(values.serve as TypeName);
  const rows = [...(await bench("memory")), ...(await bench("sqlite"))];
  console.log(values.json ? JSON.stringify(rows, undefined, 2) : render(rows));
}

async function bench(type: TypeName): Promise<Row[]> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "mecha-bench-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const { serverMicros, ...others } = await otherProcess(type, folder, stack);
  const subjects = [
    await direct(type, join(folder, "direct"), stack),
    await inProcess(type, join(folder, "in-process"), stack),
    others.unix,
    others.tcp,
  ];
  for (const { set } of subjects) {
    for (let first = 0; first < keys; first += 100) {
      await Promise.all(Array.from({ length: 100 }, (_, index) => set(first + index)));
    }
  }
  const rows: Row[] = [];
  for (const callers of [1, 64]) {
    for (const operation of ["get", "set"] as const) {
      const ways = subjects.map((subject) => ({ name: subject.name, run: subject[operation] }));
      for (const [subject, figures] of await compare(ways, { callers, rounds, roundMs, serverMicros })) {
        rows.push({ component: type, operation, callers, subject, ...figures });
      }
    }
  }
  return rows;
}

async function direct(type: TypeName, dataDir: string, stack: AsyncDisposableStack): Promise<Subject> {
  const component = await types[type](dataDir);
  stack.defer(() => component.close());
  const { state } = component.blocks;
  if (state === undefined) throw new Error(`${type} serves no state`);
  const keyspace = "default/bench";
  const set = { type: "set", value, contentType: "text/plain", ttlMs: undefined, precondition: undefined } as const;
  return {
    name: "component, called directly",
    get: (index) => state.get({ keyspace, key: keyOf(index) }),
    set: (index) => state.write({ keyspace, requestId: undefined, operations: [{ ...set, key: keyOf(index) }] }),
  };
}

async function inProcess(type: TypeName, dataDir: string, stack: AsyncDisposableStack): Promise<Subject> {
  const runtime = stack.use(await createRuntime(runtimeOptions(type, dataDir)));
  return calling("runtime, in process", runtime.transport);
}

async function otherProcess(type: TypeName, folder: string, stack: AsyncDisposableStack) {
  const server = fork(fileURLToPath(import.meta.url), ["--serve", type], {
    env: { ...process.env, BENCH_DIR: folder },
  });
  stack.defer(async () => {
    const exited = once(server, "exit");
    server.disconnect();
    await exited;
  });
  const [{ unix, tcp }] = (await once(server, "message")) as [{ unix: string; tcp: string }];
  /** The CPU that the other process has used, in µs. */
  const serverMicros = async (): Promise<number> => {
    const answer = once(server, "message");
    server.send("cpu");
    return ((await answer) as [number])[0];
  };
  return {
    serverMicros,
    unix: calling("runtime, over a Unix socket", createTransport({ endpoint: unix })),
    tcp: calling("runtime, over TCP", createTransport({ endpoint: tcp })),
  };
}

function calling(name: string, transport: Transport): Subject {
  const client: Client<typeof StateService> = createClient(StateService, transport);
  return {
    name,
    get: (index) => client.get({ key: keyOf(index) }),
    set: (index) => client.set({ key: keyOf(index), value, contentType: "text/plain" }),
  };
}

function runtimeOptions(type: TypeName, dataDir: string) {
  const metadata = { name: type };
  const spec = { type, acceptDurability: "PROCESS" };
  return {
    components: [memory, sqlite],
    resources: [{ apiVersion: "mecha.dev/v1" as const, kind: "Component", metadata, spec }],
    environment: {},
    dataDir,
  };
}

/** The other process: two runtimes, each with a store of its own, until the channel to the first process closes. */
async function serve(type: TypeName): Promise<void> {
  const folder = process.env.BENCH_DIR ?? "";
  const unix = await createRuntime({
    ...runtimeOptions(type, join(folder, "unix")),
    listen: { path: join(folder, "runtime.sock") },
    adminSocket: false,
  });
  const tcp = await createRuntime({
    ...runtimeOptions(type, join(folder, "tcp")),
    listen: { port: 0 },
    adminSocket: false,
  });
  process.on("message", () => {
    const { user, system } = process.cpuUsage();
    process.send?.(user + system);
  });
  process.on("disconnect", () => void Promise.all([unix.close({ deadlineMs: 0 }), tcp.close({ deadlineMs: 0 })]));
  process.send?.({ unix: unix.endpoint, tcp: tcp.endpoint });
}

function render(rows: readonly Row[]): string {
  const title = `${valueBytes}-byte values, ${keys} keys, Node ${process.versions.node}, medians of ${rounds} rounds taking turns`;
  const lines = rows.map(({ component, operation, callers, subject, ...figures }): [string[], Figures] => {
    return [[component, operation, String(callers), subject], figures];
  });
  return `${title}\n\n${renderFigures(["component", "operation", "callers", "subject"], lines)}`;
}

await main();
