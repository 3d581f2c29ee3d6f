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

test("a handler that waits hears by its signal that its caller left", async () => {
  let reason: unknown;
  const transport = createInProcessTransport((router) =>
    router.service(EchoService, {
      async *count(request, { signal }) {
        yield { text: request.text };
        await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
        reason = signal.reason;
      },
    }),
  );
  async function* requests() {
    yield { text: "once" };
  }
  // Connect's own clients pass on the signal only; who uses the transport may just stop reading.
  const call = transport.stream(EchoService.method.count, undefined, undefined, undefined, requests());
  for await (const { text } of (await call).message) {
    expect(text).toBe("once");
    break;
  }
  await eventually(() => reason !== undefined, "the handler hears of it");
  expect(reason).toMatchObject({ rawMessage: "the client went away" });
});
