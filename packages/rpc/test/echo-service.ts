import { create } from "@bufbuild/protobuf";
import { StringValueSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";
import { type EchoRequest, EchoResponseSchema, EchoService } from "./gen/echo_pb.js";

/** What happened to the calls that wait, so that a test can see cancellation arrive. */
export interface EchoLog {
  /** Signals of handlers that are or were waiting. */
  readonly waiting: HandlerContext["signal"][];
}

/** The service that all tests of this package call; `behaviour` says what a handler does beside echoing. */
export function echoRoutes(log: EchoLog = { waiting: [] }): (router: ConnectRouter) => void {
  return (router) =>
    router.service(EchoService, {
      echo: (request, context) => answer(request, context, log),
      read: (request, context) => answer(request, context, log),
      async *count(request, context) {
        for (let count = 1; count <= request.count; count++) {
          yield answerNow({ ...request, count }, context);
        }
        await behave(request, context, log);
      },
      async collect(requests, context) {
        let text = "";
        let count = 0;
        for await (const request of requests) {
          await behave(request, context, log);
          text += request.text;
          count++;
        }
        return { text, count };
      },
      async *chat(requests, context) {
        for await (const request of requests) {
          yield answerNow(request, context);
          await behave(request, context, log);
        }
      },
    });
}

function answer(request: EchoRequest, context: HandlerContext, log: EchoLog) {
  if (request.behaviour === "") return answerNow(request, context);
  return behave(request, context, log).then(() => answerNow(request, context));
}

function answerNow(request: EchoRequest, context: HandlerContext) {
  if (request.behaviour === "metadata") {
    context.responseHeader.set("echo-header", context.requestHeader.get("send-header") ?? "");
    context.responseHeader.set("echo-bin", context.requestHeader.get("send-bin") ?? "");
    context.responseTrailer.set("echo-trailer", context.requestHeader.get("send-trailer") ?? "");
  }
  return create(EchoResponseSchema, {
    text: request.text,
    data: request.data,
    count: request.count,
    labels: request.labels,
    ...(request.everything && { everything: request.everything }),
  });
}

async function behave(request: EchoRequest, context: HandlerContext, log: EchoLog): Promise<void> {
  switch (request.behaviour) {
    case "error":
      throw new ConnectError("no such thing: ünïcode", Code.NotFound, { "error-header": "why" }, [
        { desc: StringValueSchema, value: { value: "detail" } },
      ]);
    case "throw":
      throw new Error("a secret of the server");
    case "wait": {
      const { signal } = context;
      log.waiting.push(signal);
      return new Promise((_resolve, reject) => {
        if (signal.aborted) reject(signal.reason as Error);
        signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
      });
    }
    case "deadline":
      context.responseHeader.set("timeout-ms", String(context.timeoutMs() ?? "none"));
      return;
    default:
      return;
  }
}
