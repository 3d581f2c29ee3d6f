// Load from wrk and h2load, which cost less CPU than what they measure.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, toBinary, toJsonString } from "@bufbuild/protobuf";
import type { ServerProcess } from "./contest.ts";
import { GetRequest, getPath } from "./service.ts";

/** What a server does under load. */
export interface ServerFigures {
  readonly perSecond: number;
  readonly cpuMicros: number;
}

const request = create(GetRequest, { store: "", key: "order-1" } as never);
const callers = 16;

/** Connect unary over HTTP/1.1. */
export async function loadHttp1(
  server: ServerProcess,
  format: "proto" | "json",
  seconds: number,
): Promise<ServerFigures> {
  const body = format === "json" ? Buffer.from(toJsonString(GetRequest, request)) : toBinary(GetRequest, request);
  const escaped = [...body].map((byte) => `\\${byte}`).join("");
  const script = `wrk.method = "POST"
wrk.body = "${escaped}"
wrk.headers["content-type"] = "application/${format}"
function done(summary)
  io.write("FAILED " .. (summary.errors.status + summary.errors.read + summary.errors.timeout) .. "\\n")
end`;
  return withFile(script, (path) =>
    measure(server, seconds, "wrk", ["-t1", `-c${callers}`, `-d${seconds}s`, "-s", path, server.endpoint + getPath], {
      perSecond: /Requests\/sec:\s+([\d.]+)/,
      failed: /FAILED (\d+)/,
    }),
  );
}

/** gRPC unary over HTTP/2. */
export async function loadGrpc(server: ServerProcess, seconds: number): Promise<ServerFigures> {
  const message = toBinary(GetRequest, request);
  const frame = Buffer.alloc(5 + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, 5);
  const headers = ["-H", "content-type: application/grpc+proto", "-H", "te: trailers"];
  return withFile(frame, (path) =>
    measure(
      server,
      seconds,
      "h2load",
      ["-t1", `-c${callers}`, "-m1", `-D${seconds}`, "-d", path, ...headers, server.endpoint + getPath],
      { perSecond: /finished in [\d.]+m?s, ([\d.]+) req\/s/, failed: /(\d+) failed/ },
    ),
  );
}

async function measure(
  server: ServerProcess,
  seconds: number,
  command: string,
  args: string[],
  patterns: { perSecond: RegExp; failed: RegExp },
): Promise<ServerFigures> {
  const before = await server.cpuMicros();
  const output = await run(command, args);
  const used = (await server.cpuMicros()) - before;
  const perSecond = Number(patterns.perSecond.exec(output)?.[1]);
  if (!(perSecond > 0) || Number(patterns.failed.exec(output)?.[1] ?? 0) > 0) {
    throw new Error(`${command} did not measure ${server.endpoint}:\n${output}`);
  }
  return { perSecond, cpuMicros: used / (perSecond * seconds) };
}

function run(command: string, args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.on("error", (error) => {
      const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
      reject(missing ? new Error(`this benchmark needs ${command}: apt-get install wrk nghttp2-client`) : error);
    });
    child.on("close", () => resolve(output));
  });
}

async function withFile<T>(content: string | Uint8Array, use: (path: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "mecha-bench-"));
  try {
    const path = join(folder, "request");
    writeFileSync(path, content);
    return await use(path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
