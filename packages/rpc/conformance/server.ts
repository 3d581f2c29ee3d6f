// The program that the conformance suite runs to test the server.
import { serve } from "@mecha/rpc";
import { registry } from "./convert.ts";
import { readMessages, writeMessage } from "./framing.ts";
import {
  ServerCompatRequestSchema,
  ServerCompatResponseSchema,
} from "./gen/connectrpc/conformance/v1/server_compat_pb.js";
import { conformanceRoutes } from "./service.ts";

for await (const request of readMessages(ServerCompatRequestSchema)) {
  const tls = request.useTls ? request.serverCreds : undefined;
  const server = await serve({
    routes: conformanceRoutes,
    jsonOptions: { registry },
    ...(tls && {
      tls: {
        key: tls.key,
        cert: tls.cert,
        ...(request.clientTlsCert.length > 0 && { ca: request.clientTlsCert, requestClientCert: true }),
      },
    }),
    limits: { ...(request.messageReceiveLimit > 0 && { readMaxBytes: request.messageReceiveLimit }) },
  });
  const { hostname, port } = new URL(server.endpoint);
  writeMessage(ServerCompatResponseSchema, { host: hostname, port: Number(port), ...(tls && { pemCert: tls.cert }) });
  process.once("SIGTERM", () => void server.close({ deadlineMs: 1000 }).then(() => process.exit(0)));
}
