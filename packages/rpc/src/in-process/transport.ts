import { create, type DescMethod, type Message } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  createContextValues,
  type Interceptor,
  type StreamResponse,
  type Transport,
  type UnaryResponse,
} from "@connectrpc/connect";
import { CallContext, type CallHead } from "../call/context.js";
import { EarlyEnd, toAbortError } from "../call/end.js";
import { intercept, invokeStream, invokeUnary, isPromise, normalize } from "../call/invoke.js";
import { Pipe } from "../call/pump.js";
import { collectRoutes, type Route, toPath } from "../call/routes.js";
import type { InProcessTransportOptions } from "../options.js";
import { toReceivedError } from "./error.js";
import { deepFreeze } from "./freeze.js";

type AnyFn = ReturnType<Interceptor>;
type AnyRequest = Parameters<AnyFn>[0];
type AnyResponse = Awaited<ReturnType<AnyFn>>;

/** A call that has passed the caller's interceptors. */
interface Call {
  readonly method: DescMethod;
  readonly signal: AbortSignal | undefined;
  readonly timeoutMs: number | undefined;
  readonly header: ConstructorParameters<typeof Headers>[0];
}

/**
 * Calls services of the same process: no socket, no serialisation, no copy. What a caller can observe is the same as over a wire:
 * deadlines, cancellation, headers, trailers and errors.
 *
 * A message is given away with the call, and an answer with the return: neither side may change it afterwards. With
 * `freezeMessages` (the default under `NODE_ENV=test`) an attempt throws.
 */
export function createInProcessTransport(
  routes: (router: ConnectRouter) => void,
  options: InProcessTransportOptions = {},
): Transport {
  const table = collectRoutes(routes);
  const { interceptors = [], serverInterceptors = [], contextValues } = options;
  const freeze = options.freezeMessages ?? process.env.NODE_ENV === "test";
  const handOver = freeze ? deepFreeze : <T>(message: T): T => message;

  const createContext = (call: Call, signalled?: () => void): CallContext => {
    const head: CallHead = {
      requestMethod: "POST",
      protocolName: "connect",
      url: () => toUrl(call.method),
      headers: () => new Headers(call.header),
      contextValues: () => contextValues?.(),
    };
    return new CallContext(call.method, head, call.timeoutMs, signalled);
  };

  async function unary(call: Call, message: Message): Promise<UnaryResponse> {
    const route = find(table, call.method);
    if (call.signal?.aborted) throw toAbortError(call.signal.reason);
    const context = createContext(call);
    let output: Message;
    try {
      const result = invokeUnary(route.spec, context, handOver(message), serverInterceptors);
      output = isPromise(result) ? await untilEnd(result, call, context) : result;
    } catch (reason) {
      context.abort(reason);
      throw reason instanceof Ended ? reason.error : toReceivedError(reason, context);
    }
    const header = context.responseHeader;
    const trailer = context.responseTrailer;
    context.abort();
    const { method } = call;
    return {
      stream: false,
      service: method.parent,
      method,
      header,
      trailer,
      message: handOver(output),
    } as UnaryResponse;
  }

  async function stream(call: Call, messages: AsyncIterable<object>): Promise<StreamResponse> {
    const route = find(table, call.method);
    if (call.signal?.aborted) throw toAbortError(call.signal.reason);
    const context = createContext(call);
    const requests = new Pipe<Message>();
    // A handler that waits for something of its own learns only from its signal that nobody reads any more.
    const responses = new Pipe<Message>(() => end(new ConnectError("the client went away", Code.Canceled)));
    const trailer = new Headers();
    const end = (error: ConnectError) => {
      context.abort(error);
      requests.abandon(error);
      responses.abandon(error);
    };
    const early = new EarlyEnd(call.signal, call.timeoutMs, end);
    const sending = messages[Symbol.asyncIterator]() as AsyncIterator<Message>;
    const { input, parent: service } = call.method;
    void requests.pump(sending, (message) => handOver(normalize(input, message)), toCallerError);

    const output = invokeStream(route.spec, context, requests.reader, serverInterceptors);
    const first = output.next();
    const produced = prepend(first, output);
    const done = responses
      .pump(produced, handOver, (reason) => toReceivedError(reason, context))
      .then(() => {
        early.clear();
        copyInto(trailer, context.setTrailer);
        context.abort();
        // The handler is done: whoever still sends may stop.
        requests.abandon(new ConnectError("the call has ended", Code.Canceled));
        void sending.return?.()?.then(undefined, () => {});
      });
    // Response headers are known with the first message or the end.
    await Promise.race([first.then(ignore, ignore), done]);
    const header = new Headers(context.setHeader);
    return { stream: true, service, method: call.method, header, trailer, message: responses.reader } as StreamResponse;
  }

  const withDefault = (timeoutMs: number | undefined): number | undefined =>
    timeoutMs === undefined ? options.defaultTimeoutMs : timeoutMs <= 0 ? undefined : timeoutMs;

  return {
    unary(method, signal, timeoutMs, header, input, values) {
      const call: Call = { method, signal, timeoutMs: withDefault(timeoutMs), header };
      const message = normalize(method.input, input);
      if (interceptors.length === 0) return unary(call, message) as Promise<never>;
      const request = toRequest(call, values, false, message);
      const next: AnyFn = (sent) =>
        unary({ ...call, signal: sent.signal, header: sent.header }, sent.message as Message) as Promise<AnyResponse>;
      return intercept(next, interceptors)(request) as Promise<never>;
    },
    stream(method, signal, timeoutMs, header, input, values) {
      const call: Call = { method, signal, timeoutMs: withDefault(timeoutMs), header };
      if (interceptors.length === 0) return stream(call, input) as Promise<never>;
      const messages = mapIterable(input, (message) => create(method.input, message));
      const request = toRequest(call, values, true, messages);
      const next: AnyFn = (sent) =>
        stream(
          { ...call, signal: sent.signal, header: sent.header },
          sent.message as AsyncIterable<Message>,
        ) as Promise<AnyResponse>;
      return intercept(next, interceptors)(request) as Promise<never>;
    },
  };
}

/** Marks an end that came from the caller's side, which the handler's own error must not hide. */
class Ended {
  constructor(readonly error: ConnectError) {}
}

/** Waits for a handler, but no longer than its caller does. */
function untilEnd(result: Promise<Message>, call: Call, context: CallContext): Promise<Message> {
  if (call.signal === undefined && call.timeoutMs === undefined) return result;
  return new Promise((resolve, reject) => {
    const early = new EarlyEnd(call.signal, call.timeoutMs, (error) => {
      context.abort(error);
      reject(new Ended(error));
    });
    result.then(resolve, reject).finally(() => early.clear());
  });
}

function find(table: Map<string, Route>, method: DescMethod): Route {
  const route = table.get(toPath(method));
  if (route === undefined) {
    throw new ConnectError(`${toPath(method)} is not served in this process`, Code.Unimplemented);
  }
  return route;
}

function toUrl(method: DescMethod): string {
  return `http://in-process${toPath(method)}`;
}

function toRequest(
  call: Call,
  values: ReturnType<typeof createContextValues> | undefined,
  stream: boolean,
  message: unknown,
): AnyRequest {
  const { method, header } = call;
  const signal = call.signal ?? new AbortController().signal;
  return {
    stream,
    message,
    method,
    service: method.parent,
    requestMethod: "POST",
    url: toUrl(method),
    signal,
    header: new Headers(header),
    contextValues: values ?? createContextValues(),
  } as unknown as AnyRequest;
}

/** An iterator whose first result was already asked for. */
function prepend<T>(first: Promise<IteratorResult<T>>, rest: AsyncIterator<T>): AsyncIterator<T> {
  let started = false;
  return {
    next() {
      if (started) return rest.next();
      started = true;
      return first;
    },
    ...(rest.return && { return: (value) => rest.return?.(value) ?? Promise.resolve({ done: true, value }) }),
  };
}

function mapIterable<T, U>(source: AsyncIterable<T>, map: (item: T) => U): AsyncIterable<U> {
  return {
    async *[Symbol.asyncIterator]() {
      for await (const item of source) yield map(item);
    },
  };
}

function copyInto(target: Headers, source: Headers | undefined): void {
  source?.forEach((value, name) => {
    target.append(name, value);
  });
}

/** What the caller's own generator threw reaches the handler as a cancellation. */
function toCallerError(reason: unknown): ConnectError {
  return ConnectError.from(reason, Code.Canceled);
}

function ignore(): void {}
