import { createClient } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { createInProcessTransport } from "../src/index.js";
import { eventually } from "./eventually.js";
import { EchoService } from "./gen/echo_pb.js";

test("a stream that its caller leaves ends in the handler, also between two messages", async () => {
  let ended = false;
  const transport = createInProcessTransport((router) =>
    router.service(EchoService, {
      async *count(request) {
        try {
          for (;;) yield { text: request.text };
        } finally {
          ended = true;
        }
      },
    }),
  );
  const leaving = new AbortController();
  const messages = createClient(EchoService, transport).count({ text: "again" }, { signal: leaving.signal });
  for await (const { text } of messages) {
    expect(text).toBe("again");
    break;
  }
  leaving.abort();
  await eventually(() => ended, "the handler ends");
});
