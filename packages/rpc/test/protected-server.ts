import { createClient } from "@connectrpc/connect";
import { expect } from "vitest";
import { createTransport, type RpcServer, type ServerLimits, serve } from "../src/index.js";
import { type EchoLog, echoRoutes } from "./echo-service.js";
import { EchoService } from "./gen/echo_pb.js";

export const path = "/mecha.rpc.test.v1.EchoService/Echo";
/** The beginning of a request in JSON, whose headers go on. */
export const json = `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n`;

/** A server with limits that a test can reach. */
export function start(limits: ServerLimits, log?: EchoLog): Promise<RpcServer> {
  return serve({ routes: echoRoutes(log), limits });
}

/** The server must go on serving, whatever one client did. */
export async function expectServing(server: RpcServer): Promise<void> {
  await using transport = createTransport({ endpoint: server.endpoint });
  expect(await createClient(EchoService, transport).echo({ text: "still here" })).toMatchObject({ text: "still here" });
}
