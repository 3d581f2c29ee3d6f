// What @mecha/rpc costs, against connect-node, grpc-js and bare Node, all in one run: `pnpm bench rpc [--json]`.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { costRow, mapValues, type Row, rateRow } from "./bars.ts";
import type { ClientFigures } from "./client.ts";
import { alternate, runClient, ServerProcess } from "./contest.ts";
import { loadGrpc, loadHttp1, type ServerFigures } from "./load.ts";

const rounds = Number(process.env.BENCH_ROUNDS ?? 5);
const seconds = 2;
process.env.BENCH_ROUND_MS ??= String(seconds * 1000);
const streamMessages = 100_000;
/** Rounds of every server that do not count. */
const warmUpRounds = 3;

/** Measures everything; takes some minutes. */
export async function runRpc(): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), "mecha-bench-"));
  await using servers = new AsyncDisposableStack();
  const start = async (name: string, socket = "") => servers.use(await ServerProcess.start(name, socket));
  const mecha = await start("mecha");
  // For the latency of one connection: two servers of the same age, for one that served all of the above is better compiled.
  const unix = await start("mecha", join(folder, "rpc.sock"));
  const tcp = await start("mecha");
  const connect1 = await start("connect-node HTTP/1.1");
  const connect2 = await start("connect-node HTTP/2");
  const grpcJs = await start("grpc-js");
  const bare1 = await start("node:http");
  const bare2 = await start("node:http2");

  const rows: Row[] = [];
  const note = (row: Row) => {
    rows.push(row);
    console.error(`${row.measure}: ${row.result} ${row.passed === false ? "FAIL" : ""}`);
  };
  const server = async (
    load: (server: ServerProcess) => Promise<ServerFigures>,
    contestants: Record<string, ServerProcess>,
  ) => {
    const measures = mapValues(contestants, (process) => () => load(process));
    // Compilers first: the more code a contestant runs, the longer it takes until it is compiled.
    await alternate(warmUpRounds, measures);
    return alternate(rounds, measures);
  };

  const proto = await server((process) => loadHttp1(process, "proto", seconds), {
    mecha,
    "connect-node": connect1,
    "node:http (no work)": bare1,
  });
  note(
    rateRow("server, Connect unary proto, HTTP/1.1", rate(proto), ["mecha", "connect-node"], {
      atLeast: 3.5,
      aim: 4.5,
    }),
  );
  note(interceptorRow(await interceptorCosts()));
  const json = await server((process) => loadHttp1(process, "json", seconds), { mecha, "connect-node": connect1 });
  note(
    rateRow("server, Connect unary JSON, HTTP/1.1", rate(json), ["mecha", "connect-node"], { atLeast: 2.5, aim: 3.5 }),
  );
  const grpc = await server((process) => loadGrpc(process, seconds), {
    mecha,
    "connect-node": connect2,
    "grpc-js": grpcJs,
    "node:http2 (no work)": bare2,
  });
  note(rateRow("server, gRPC unary, HTTP/2", rate(grpc), ["mecha", "connect-node"], { atLeast: 5, aim: 6.5 }));

  const client = (names: string[], endpoint: string, callers: number) =>
    alternate(rounds, Object.fromEntries(names.map((name) => [name, () => runClient(name, endpoint, "get", callers)])));
  const clients = await client(["mecha", "connect-node", "node:http"], mecha.endpoint, 16);
  note(
    costRow("client, Connect unary, HTTP/1.1, CPU a call", cpu(clients), ["mecha", "connect-node"], {
      atLeast: 5,
      aim: 10,
    }),
  );
  const grpcClients = await client(["mecha gRPC", "connect-node gRPC", "grpc-js"], mecha.endpoint, 16);
  note(
    costRow("client, gRPC unary, CPU a call", cpu(grpcClients), ["mecha gRPC", "connect-node gRPC"], {
      atLeast: 5,
      aim: 10,
    }),
  );

  const chats = await alternate(rounds, {
    mecha: () => runClient("mecha gRPC", mecha.endpoint, "chat", streamMessages),
    "connect-node": () => runClient("connect-node gRPC", connect2.endpoint, "chat", streamMessages / 20),
    "grpc-js": () => runClient("grpc-js", grpcJs.endpoint, "chat", streamMessages / 5),
  });
  note(
    rateRow("bidirectional stream, 1 KiB messages echoed", rate(chats), ["mecha", "connect-node"], {
      atLeast: 15,
      aim: 25,
    }),
  );

  const inside = await client(["in process", "connect's router transport"], "", 1);
  const pair = ["in process", "connect's router transport"] as const;
  note(costRow("in-process call, CPU", cpu(inside), pair, { atLeast: 20, aim: 20, aimMicros: 1.5 }));

  const sockets = {
    "Unix socket": () => runClient("mecha", unix.endpoint, "get", 1),
    TCP: () => runClient("mecha", tcp.endpoint, "get", 1),
  };
  await alternate(warmUpRounds, sockets);
  const single = await alternate(rounds, sockets);
  note(latencyRow(single));
  note(heapRow({ ...clients, ...grpcClients, ...inside }));
  rmSync(folder, { recursive: true, force: true });
  return rows;
}

const rate = (figures: Record<string, { perSecond: number }>) => mapValues(figures, ({ perSecond }) => perSecond);
const cpu = (figures: Record<string, { cpuMicros: number }>) => mapValues(figures, ({ cpuMicros }) => cpuMicros);

function pick<T>(figures: Record<string, T>, name: string): T {
  const found = figures[name];
  if (found === undefined) throw new Error(`${name} was not measured`);
  return found;
}

/** Of new servers each round: how well one happens to be compiled differs by more than what an interceptor costs. */
function interceptorCosts(): Promise<Record<string, ServerFigures>> {
  const measure = async (name: string) => {
    await using server = await ServerProcess.start(name);
    for (let round = 0; round < warmUpRounds; round++) await loadHttp1(server, "proto", seconds);
    return await loadHttp1(server, "proto", seconds);
  };
  return alternate(rounds, {
    without: () => measure("mecha"),
    with: () => measure("mecha with an interceptor"),
  });
}

function interceptorRow(figures: Record<string, ServerFigures>): Row {
  const plain = pick(figures, "without").cpuMicros;
  const intercepted = pick(figures, "with").cpuMicros;
  const loss = (intercepted - plain) / plain;
  return {
    measure: "an interceptor that reads a header and sets one, server CPU a call",
    figures: { without: `${plain.toFixed(1)} µs`, with: `${intercepted.toFixed(1)} µs` },
    result: `${loss < 0 ? "" : "+"}${(loss * 100).toFixed(0)} %`,
    atLeast: "< 15 %",
    aim: "–",
    passed: loss < 0.15,
    aimed: false,
  };
}

function latencyRow(figures: Record<string, ClientFigures>): Row {
  const unix = pick(figures, "Unix socket").p50Micros;
  const tcp = pick(figures, "TCP").p50Micros;
  const p99 = pick(figures, "Unix socket").p99Micros;
  return {
    measure: "one connection, p50 / p99",
    figures: mapValues(figures, ({ p50Micros, p99Micros }) => `${p50Micros.toFixed(0)} / ${p99Micros.toFixed(0)} µs`),
    result: `${(unix / tcp).toFixed(2)} of TCP`,
    atLeast: "Unix below TCP",
    aim: "100 / 300 µs",
    passed: unix < tcp,
    aimed: unix <= 100 && p99 <= 300,
  };
}

function heapRow(figures: Record<string, ClientFigures>): Row {
  return {
    measure: "client, heap allocated a call",
    figures: mapValues(figures, ({ heapBytes }) => `${(heapBytes / 1024).toFixed(1)} KiB`),
    result: "–",
    atLeast: "–",
    aim: "–",
    passed: undefined,
    aimed: undefined,
  };
}
