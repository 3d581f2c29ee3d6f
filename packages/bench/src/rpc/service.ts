// The service that every contestant serves: a Get with an answer of 1 KiB, and a Chat that echoes messages of 1 KiB.
import { create, createFileRegistry, type DescMethodUnary, fromJson, type Message } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import type { ConnectRouter } from "@connectrpc/connect";

const field = (name: string, number: number, type: string, jsonName = name) => ({
  name,
  jsonName,
  number,
  type,
  label: "LABEL_OPTIONAL",
});

const registry = createFileRegistry(
  fromJson(FileDescriptorSetSchema, {
    file: [
      {
        name: "bench.proto",
        package: "mecha.bench.v1",
        syntax: "proto3",
        messageType: [
          { name: "GetRequest", field: [field("store", 1, "TYPE_STRING"), field("key", 2, "TYPE_STRING")] },
          {
            name: "Item",
            field: [
              field("key", 1, "TYPE_STRING"),
              field("value", 2, "TYPE_BYTES"),
              field("content_type", 3, "TYPE_STRING", "contentType"),
              field("etag", 4, "TYPE_STRING"),
            ],
          },
        ],
        service: [
          {
            name: "BenchService",
            method: [
              {
                name: "Get",
                inputType: ".mecha.bench.v1.GetRequest",
                outputType: ".mecha.bench.v1.Item",
                options: { idempotencyLevel: "NO_SIDE_EFFECTS" },
              },
              {
                name: "Chat",
                inputType: ".mecha.bench.v1.Item",
                outputType: ".mecha.bench.v1.Item",
                clientStreaming: true,
                serverStreaming: true,
              },
            ],
          },
        ],
      },
    ],
  }),
);

function found<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("the benchmark's own schema is incomplete");
  return value;
}

export const BenchService = found(registry.getService("mecha.bench.v1.BenchService"));
export const GetRequest = found(registry.getMessage("mecha.bench.v1.GetRequest"));
export const Item = found(registry.getMessage("mecha.bench.v1.Item"));
export const getPath = "/mecha.bench.v1.BenchService/Get";

const value = new Uint8Array(1024).map((_, index) => (index * 31) % 251);

/** An answer of about 1 KiB. */
export function toItem(key: string): Message {
  return create(Item, { key, value, contentType: "application/octet-stream", etag: "0123456789" });
}

/** Handlers that do nothing but answer, so that what is measured is the way to them and back. */
export function routes(router: ConnectRouter): void {
  router.rpc(found(BenchService.method.get) as DescMethodUnary, (request) =>
    toItem((request as { key?: string }).key ?? ""),
  );
  router.rpc(
    found(BenchService.method.chat) as never,
    async function* (messages: AsyncIterable<Message>) {
      yield* messages;
    } as never,
  );
}
