// One contestant's client, in a process of its own: makes calls for a while and prints what they cost as JSON.
import * as http from "node:http";
import { create, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import { createClient, createRouterTransport, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import * as grpc from "@grpc/grpc-js";
import { createInProcessTransport, createTransport } from "@mecha/rpc";
import { BenchService, GetRequest, getPath, Item, routes, toItem } from "./service.ts";

/** What calls cost. */
export interface ClientFigures {
  readonly perSecond: number;
  readonly cpuMicros: number;
  readonly p50Micros: number;
  readonly p99Micros: number;
  readonly heapBytes: number;
}

interface Contestant {
  get(): Promise<unknown>;
  /** Sends and receives so many messages. */
  chat?(count: number): Promise<void>;
}

const freezeMessages = false;
const contestants: Record<string, (endpoint: string) => Contestant> = {
  mecha: (endpoint) => overTransport(createTransport({ endpoint })),
  "mecha gRPC": (endpoint) => overTransport(createTransport({ endpoint, protocol: "grpc" })),
  "connect-node": (baseUrl) => overTransport(createConnectTransport({ baseUrl, httpVersion: "1.1" })),
  "connect-node gRPC": (baseUrl) => overTransport(createGrpcTransport({ baseUrl })),
  "in process": () => overTransport(createInProcessTransport(routes, { freezeMessages })),
  "connect's router transport": () => overTransport(createRouterTransport(routes)),
  "grpc-js": (endpoint) => overGrpcJs(new URL(endpoint).host),
  "node:http": overNodeHttp,
};

function overTransport(transport: Transport): Contestant {
  const client = createClient(BenchService, transport) as unknown as {
    get(request: object): Promise<unknown>;
    chat(requests: AsyncIterable<object>): AsyncIterable<unknown>;
  };
  const item = toItem("key");
  return {
    get: () => client.get({ store: "", key: "order-1" }),
    async chat(count) {
      async function* send() {
        for (let index = 0; index < count; index++) yield item;
      }
      let received = 0;
      for await (const _ of client.chat(send())) received++;
      if (received !== count) throw new Error(`${received} of ${count} messages came back`);
    },
  };
}

function overGrpcJs(host: string): Contestant {
  const client = new grpc.Client(host, grpc.credentials.createInsecure());
  const serializeItem = (message: Message) => Buffer.from(toBinary(Item, message));
  const parseItem = (bytes: Buffer) => fromBinary(Item, bytes);
  const item = toItem("key");
  return {
    get: () =>
      new Promise((resolve, reject) => {
        const serialize = (request: object) => Buffer.from(toBinary(GetRequest, create(GetRequest, request as never)));
        const request = { store: "", key: "order-1" };
        client.makeUnaryRequest(getPath, serialize, parseItem, request, (error, answer) =>
          error ? reject(error) : resolve(answer),
        );
      }),
    chat: (count) =>
      new Promise((resolve, reject) => {
        const call = client.makeBidiStreamRequest("/mecha.bench.v1.BenchService/Chat", serializeItem, parseItem);
        let received = 0;
        let sent = 0;
        const send = () => {
          while (sent < count) {
            sent++;
            if (!call.write(item)) {
              call.once("drain", send);
              return;
            }
          }
          call.end();
        };
        call.on("data", () => received++);
        call.on("error", reject);
        call.on("end", () => (received === count ? resolve() : reject(new Error(`${received} of ${count}`))));
        send();
      }),
  };
}

/** What a program without any RPC library would write. */
function overNodeHttp(endpoint: string): Contestant {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
  const { hostname, port } = new URL(endpoint);
  const options = { agent, hostname, port, method: "POST", path: getPath };
  return {
    get: () =>
      new Promise((resolve, reject) => {
        const body = toBinary(GetRequest, create(GetRequest, { store: "", key: "order-1" }));
        const headers = { "content-type": "application/proto", "content-length": body.length };
        const request = http.request({ ...options, headers }, (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("end", () => resolve(fromBinary(Item, new Uint8Array(Buffer.concat(chunks)))));
        });
        request.on("error", reject);
        request.end(body);
      }),
  };
}

async function measureGets(contestant: Contestant, callers: number, durationMs: number): Promise<ClientFigures> {
  // Compilers first, the last of which come after some 10,000 calls.
  await run(contestant, callers, durationMs * 2);
  const cpu = process.cpuUsage();
  const start = performance.now();
  const latencies = await run(contestant, callers, durationMs);
  const elapsedMs = performance.now() - start;
  const { user, system } = process.cpuUsage(cpu);
  const heapBytes = await allocatedPerCall(contestant);
  latencies.sort((a, b) => a - b);
  const at = (share: number) => (latencies[Math.floor(latencies.length * share)] ?? Number.NaN) * 1000;
  return {
    perSecond: (latencies.length / elapsedMs) * 1000,
    cpuMicros: (user + system) / latencies.length,
    p50Micros: at(0.5),
    p99Micros: at(0.99),
    heapBytes,
  };
}

async function run(contestant: Contestant, callers: number, durationMs: number): Promise<number[]> {
  const latencies: number[] = [];
  const end = performance.now() + durationMs;
  const caller = async () => {
    for (let now = performance.now(); now < end; ) {
      await contestant.get();
      const then = performance.now();
      latencies.push(then - now);
      now = then;
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return latencies;
}

/** Heap growth while nothing is collected: the young generation is made large for it. */
async function allocatedPerCall(contestant: Contestant): Promise<number> {
  const calls = 1000;
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  for (let index = 0; index < calls; index++) await contestant.get();
  return (process.memoryUsage().heapUsed - before) / calls;
}

async function measureChat(contestant: Contestant, count: number): Promise<ClientFigures> {
  if (contestant.chat === undefined) throw new Error("this contestant has no streams");
  await contestant.chat(count / 4);
  const cpu = process.cpuUsage();
  const start = performance.now();
  await contestant.chat(count);
  const elapsedMs = performance.now() - start;
  const { user, system } = process.cpuUsage(cpu);
  const none = Number.NaN;
  return {
    perSecond: (count / elapsedMs) * 1000,
    cpuMicros: (user + system) / count,
    p50Micros: none,
    p99Micros: none,
    heapBytes: none,
  };
}

const [, , name = "", endpoint = "", what = "get", amount = "1"] = process.argv;
const make = contestants[name];
if (make === undefined) throw new Error(`no contestant is called "${name}"`);
const contestant = make(endpoint);
const figures =
  what === "chat"
    ? await measureChat(contestant, Number(amount))
    : await measureGets(contestant, Number(amount), Number(process.env.BENCH_ROUND_MS ?? 1000));
console.log(JSON.stringify(figures));
process.exit(0);
