// One contestant's server, in a process of its own: prints where it listens, answers "cpu" lines, ends with its stdin.
import * as http from "node:http";
import * as http2 from "node:http2";
import type { AddressInfo } from "node:net";
import { createInterface } from "node:readline";
import { fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import * as grpc from "@grpc/grpc-js";
import { serve } from "@mecha/rpc";
import { GetRequest, Item, routes, toItem } from "./service.ts";

/** What an application's interceptor typically does: it looks at a header and sets one. */
const interceptor: Interceptor = (next) => async (request) => {
  const tenant = request.header.get("x-tenant");
  const response = await next(request);
  response.header.set("x-served-for", tenant ?? "nobody");
  return response;
};

const contestants: Record<string, (listen: string) => Promise<string>> = {
  async mecha(listen) {
    return (await serve({ routes, listen: listen === "" ? {} : { path: listen } })).endpoint;
  },
  async "mecha with an interceptor"() {
    return (await serve({ routes, interceptors: [interceptor] })).endpoint;
  },
  "connect-node HTTP/1.1": () => listening(http.createServer(connectNodeAdapter({ routes }))),
  "connect-node HTTP/2": () => listening(http2.createServer(connectNodeAdapter({ routes }))),
  async "grpc-js"() {
    const server = new grpc.Server();
    const serialize = (message: Message) => Buffer.from(toBinary(Item, message));
    const definition = { requestStream: false, responseStream: false, responseSerialize: serialize };
    server.addService(
      {
        Get: {
          ...definition,
          path: "/mecha.bench.v1.BenchService/Get",
          requestSerialize: serialize,
          requestDeserialize: (bytes) => fromBinary(GetRequest, bytes),
          responseDeserialize: (bytes) => fromBinary(Item, bytes),
        },
        Chat: {
          path: "/mecha.bench.v1.BenchService/Chat",
          requestStream: true,
          responseStream: true,
          requestSerialize: serialize,
          responseSerialize: serialize,
          requestDeserialize: (bytes) => fromBinary(Item, bytes),
          responseDeserialize: (bytes) => fromBinary(Item, bytes),
        },
      },
      {
        Get: (call: { request: { key?: string } }, done: grpc.sendUnaryData<Message>) =>
          done(null, toItem(call.request.key ?? "")),
        Chat: (call: grpc.ServerDuplexStream<Message, Message>) => {
          call.on("data", (message: Message) => {
            if (!call.write(message)) call.pause();
          });
          call.on("drain", () => call.resume());
          call.on("end", () => call.end());
        },
      },
    );
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      ),
    );
    return `http://127.0.0.1:${port}`;
  },
  // The ceilings: the same bytes, and no work at all.
  "node:http"() {
    const body = toBinary(Item, toItem("key"));
    return listening(
      http.createServer((request, response) => {
        request.resume();
        request.on("end", () => {
          response.writeHead(200, { "content-type": "application/proto", "content-length": body.length });
          response.end(body);
        });
      }),
    );
  },
  "node:http2"() {
    const body = toBinary(Item, toItem("key"));
    const frame = Buffer.alloc(5 + body.length);
    frame.writeUInt32BE(body.length, 1);
    frame.set(body, 5);
    const server = http2.createServer();
    server.on("stream", (stream) => {
      stream.resume();
      stream.on("end", () => {
        stream.respond({ ":status": 200, "content-type": "application/grpc+proto" }, { waitForTrailers: true });
        stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
        stream.end(frame);
      });
    });
    return listening(server);
  },
};

function listening(server: http.Server | http2.Http2Server): Promise<string> {
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
  });
}

const [, , name = "", listen = ""] = process.argv;
const start = contestants[name];
if (start === undefined) throw new Error(`no contestant is called "${name}"`);
console.log(await start(listen));
const lines = createInterface(process.stdin);
lines.on("line", () => {
  const { user, system } = process.cpuUsage();
  console.log(user + system);
});
lines.on("close", () => process.exit(0));
