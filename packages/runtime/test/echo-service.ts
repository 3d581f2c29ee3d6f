import { create, createFileRegistry, type DescService } from "@bufbuild/protobuf";
import {
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  file_google_protobuf_wrappers,
  type StringValue,
  StringValueSchema,
} from "@bufbuild/protobuf/wkt";
import { type CallOptions, Code, ConnectError, type ConnectRouter, type ServiceImpl } from "@connectrpc/connect";

/** A user's own service, with every kind of method; no contract of Mecha's. */
export const EchoService = createEchoService();

function createEchoService(): DescService {
  const type = ".google.protobuf.StringValue";
  const method = (name: string, clientStreaming: boolean, serverStreaming: boolean) => ({
    name,
    inputType: type,
    outputType: type,
    clientStreaming,
    serverStreaming,
  });
  const file = create(FileDescriptorProtoSchema, {
    name: "echo.proto",
    package: "user.v1",
    syntax: "proto3",
    dependency: ["google/protobuf/wrappers.proto"],
    service: [
      {
        name: "EchoService",
        method: [
          method("Unary", false, false),
          method("Server", false, true),
          method("Client", true, false),
          method("Bidi", true, true),
        ],
      },
    ],
  });
  const set = create(FileDescriptorSetSchema, { file: [file_google_protobuf_wrappers.proto, file] });
  const service = createFileRegistry(set).getService("user.v1.EchoService");
  if (service === undefined) throw new Error("the service is not in its file");
  return service;
}

type Value = Partial<StringValue>;

/** A client of it, with the types that generated code would have. */
export interface EchoClient {
  unary(request: Value, options?: CallOptions): Promise<StringValue>;
  server(request: Value, options?: CallOptions): AsyncIterable<StringValue>;
  client(requests: AsyncIterable<Value>, options?: CallOptions): Promise<StringValue>;
  bidi(requests: AsyncIterable<Value>, options?: CallOptions): AsyncIterable<StringValue>;
}

const reply = (value: string) => create(StringValueSchema, { value });

/** Serves it: every answer says who calls. The word "fail" is refused. */
export function routeEcho(router: ConnectRouter): void {
  const caller = ({ requestHeader }: { requestHeader: Headers }) => requestHeader.get("mecha-caller");
  const check = (value: string) => {
    if (value === "fail") throw new ConnectError("as you wish", Code.FailedPrecondition, { "x-why": "asked" });
    return value;
  };
  const methods: object = {
    unary: (request: StringValue, context: { requestHeader: Headers }) =>
      reply(`${caller(context)}: ${check(request.value)}`),
    async *server(request: StringValue, context: { requestHeader: Headers }) {
      for (const letter of check(request.value)) yield reply(`${caller(context)}: ${letter}`);
    },
    async client(requests: AsyncIterable<StringValue>, context: { requestHeader: Headers }) {
      let all = "";
      for await (const { value } of requests) all += check(value);
      return reply(`${caller(context)}: ${all}`);
    },
    async *bidi(requests: AsyncIterable<StringValue>, context: { requestHeader: Headers }) {
      for await (const { value } of requests) yield reply(`${caller(context)}: ${check(value)}`);
    },
  };
  // The compiler does not know the methods of a descriptor that was made here.
  router.service(EchoService, methods as Partial<ServiceImpl<typeof EchoService>>);
}
