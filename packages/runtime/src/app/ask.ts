import { execFile } from "node:child_process";
import { request } from "node:http";
import { connect } from "node:net";
import { createClient } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@mecha/api/health";
import { appHost } from "./client.js";
import type { Question } from "./plan.js";

/** What asking takes. */
export interface AskOptions {
  /** Where the app listens; undefined if it does nowhere, and only commands can be asked. */
  readonly port: number | undefined;
  /** What proves to the app that its runtime asks. */
  readonly appToken: string | undefined;
  readonly timeoutMs: number;
}

/** Asks the app one question: undefined if it is well, else what is wrong. Never rejects, and is over when the time is. */
export async function ask(question: Question, options: AskOptions): Promise<string | undefined> {
  if (question.type === "command") return askCommand(question.command, question.dir, options);
  const { port } = options;
  if (port === undefined) return "its port is not known: say --app-port";
  switch (question.type) {
    case "tcp":
      return askPort({ ...options, port });
    case "http":
      return askHttp(question.path, { ...options, port });
    case "grpc":
      return askGrpc(question.service, { ...options, port });
  }
}

type PortOptions = AskOptions & { readonly port: number };

const late = (timeoutMs: number) => `no answer within ${timeoutMs} ms`;

function askPort({ port, timeoutMs }: PortOptions): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: appHost, timeout: timeoutMs });
    const done = (wrong: string | undefined) => {
      socket.destroy();
      resolve(wrong);
    };
    socket.once("connect", () => done(undefined));
    socket.once("timeout", () => done(late(timeoutMs)));
    socket.once("error", (error) => done(error.message));
    socket.unref();
  });
}

function askHttp(path: string, { port, appToken, timeoutMs }: PortOptions): Promise<string | undefined> {
  return new Promise((resolve) => {
    const headers = {
      "user-agent": "mecha-probe",
      ...(appToken !== undefined && { authorization: `Bearer ${appToken}` }),
    };
    const outgoing = request({ host: appHost, port, path, headers, agent: false });
    const timer = setTimeout(() => outgoing.destroy(new Error(late(timeoutMs))), timeoutMs);
    outgoing.once("response", (response) => {
      const { statusCode = 0 } = response;
      response.destroy();
      resolve(statusCode >= 200 && statusCode < 400 ? undefined : `GET ${path} answers ${statusCode}`);
    });
    outgoing.once("error", (error) => resolve(`GET ${path}: ${error.message}`));
    outgoing.once("close", () => clearTimeout(timer));
    outgoing.once("socket", (socket) => socket.unref());
    outgoing.end();
  });
}

async function askGrpc(service: string, { port, appToken, timeoutMs }: PortOptions): Promise<string | undefined> {
  const { createTransport } = await import("@mecha/rpc");
  const transport = createTransport({ endpoint: `http://${appHost}:${port}`, protocol: "grpc", maxConnections: 1 });
  try {
    const headers: Record<string, string> = appToken === undefined ? {} : { authorization: `Bearer ${appToken}` };
    const { status } = await createClient(Health, transport).check({ service }, { timeoutMs, headers });
    return status === Status.SERVING ? undefined : `its health is ${Status[status] ?? status}`;
  } catch (error) {
    return `its health service: ${error instanceof Error ? error.message : error}`;
  } finally {
    await transport.close();
  }
}

function askCommand(
  command: readonly string[],
  dir: string,
  { port, timeoutMs }: AskOptions,
): Promise<string | undefined> {
  const [program = "", ...args] = command;
  return new Promise((resolve) => {
    const env = { ...process.env, ...(port !== undefined && { MECHA_APP_PORT: String(port) }) };
    const options = { cwd: dir, env, timeout: timeoutMs, killSignal: "SIGKILL" as const, maxBuffer: 64 * 1024 };
    execFile(program, args, options, (error) => {
      if (error === null) resolve(undefined);
      else if (error.killed === true) resolve(`${program}: ${late(timeoutMs)}`);
      else if (typeof error.code === "number") resolve(`${program} exits with ${error.code}`);
      else resolve(`${program}: ${error.message}`);
    });
  });
}
