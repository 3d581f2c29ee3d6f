import type { DescMethod, DescService } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { CallRecorder, MethodRecord } from "./calls.js";
import { codeName, toConnectError } from "./errors.js";
import type { RuntimeLogger } from "./logger.js";
import type { AnyMethod, Tracing } from "./tracing.js";

/**
 * Watches calls: outcome and duration are recorded, logged at debug, and every error becomes one for the caller. It wraps implementations
 * instead of being an interceptor, because an interceptor makes every call asynchronous, and a state read from an embedded store is not.
 */
export interface Observer {
  /** `implementation` of `service`, watched. */
  watch<Service extends DescService, Implementation extends Partial<ServiceImpl<Service>>>(
    service: Service,
    implementation: Implementation,
  ): Implementation;
}

/** Creates an observer that records to `recorder`, logs to `logger`, and traces if there is something to trace with. */
export function createObserver(
  recorder: CallRecorder,
  logger: RuntimeLogger,
  tracing: Pick<Tracing, "method"> | undefined,
): Observer {
  const watchMethod = (desc: DescMethod, method: AnyMethod): AnyMethod => {
    const record = recorder.method(desc.parent.typeName, desc.name);
    const succeed = (start: number) => finish(record, "ok", start);
    const fail = (error: unknown, start: number, context: HandlerContext) => {
      const answer = toConnectError(error, context.signal, logger);
      finish(record, codeName(answer.code), start, answer.rawMessage);
      return answer;
    };
    if (desc.methodKind === "unary") {
      return (request, context) => {
        const start = performance.now();
        try {
          const response = method(request, context);
          if (!(response instanceof Promise)) {
            succeed(start);
            return response;
          }
          return response.then(
            (value: unknown) => {
              succeed(start);
              return value;
            },
            (error: unknown) => Promise.reject(fail(error, start, context)),
          );
        } catch (error) {
          throw fail(error, start, context);
        }
      };
    }
    return async function* (request, context) {
      const start = performance.now();
      try {
        yield* method(request, context) as AsyncIterable<unknown>;
        succeed(start);
      } catch (error) {
        throw fail(error, start, context);
      }
    };
  };

  const finish = (record: MethodRecord, code: string, start: number, error?: string) => {
    const durationMs = performance.now() - start;
    record.observe(code, durationMs / 1000);
    if (!logger.isLevelEnabled("debug")) return;
    const { service, method } = record;
    logger.debug({ service, method, code, durationMs, ...(error === undefined ? {} : { error }) }, "call");
  };

  return {
    watch(service, implementation) {
      const watched: Record<string, AnyMethod> = {};
      for (const desc of service.methods) {
        const method = (implementation as Record<string, AnyMethod | undefined>)[desc.localName];
        if (method === undefined) continue;
        const recorded = watchMethod(desc, method);
        watched[desc.localName] = tracing === undefined ? recorded : tracing.method(desc, recorded);
      }
      return watched as typeof implementation;
    },
  };
}
