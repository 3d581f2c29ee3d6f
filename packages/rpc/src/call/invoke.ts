import { create, type DescMessage, type DescMethod, type DescService, type Message } from "@bufbuild/protobuf";
import { Code, ConnectError, type ContextValues, type Interceptor, type MethodImplSpec } from "@connectrpc/connect";
import type { CallContext } from "./context.js";

type AnyFn = ReturnType<Interceptor>;
type AnyRequest = Parameters<AnyFn>[0];
type AnyResponse = Awaited<ReturnType<AnyFn>>;

/** A handler of one message, whatever the method's types. */
type UnaryFn = (message: Message, context: CallContext) => unknown;
type ServerStreamFn = (message: Message, context: CallContext) => AsyncIterable<object>;
type ClientStreamFn = (messages: AsyncIterable<Message>, context: CallContext) => Promise<object>;
type BidiFn = (messages: AsyncIterable<Message>, context: CallContext) => AsyncIterable<object>;

/** Wraps a call in interceptors, the first one outermost; made anew for each call, as Connect does. */
export function intercept(call: AnyFn, interceptors: readonly Interceptor[]): AnyFn {
  let next = call;
  for (let index = interceptors.length - 1; index >= 0; index--) {
    const interceptor = interceptors[index];
    if (interceptor) next = interceptor(next);
  }
  return next;
}

/** Calls a unary handler. A handler that returns without a promise is answered in the same turn. */
export function invokeUnary(
  spec: MethodImplSpec,
  context: CallContext,
  message: Message,
  interceptors: readonly Interceptor[],
): Message | Promise<Message> {
  if (interceptors.length > 0) return invokeUnaryIntercepted(spec, context, message, interceptors);
  const result = (spec.impl as unknown as UnaryFn)(message, context);
  if (isPromise(result)) return result.then((output) => normalize(spec.method.output, output));
  return normalize(spec.method.output, result);
}

async function invokeUnaryIntercepted(
  spec: MethodImplSpec,
  context: CallContext,
  message: Message,
  interceptors: readonly Interceptor[],
): Promise<Message> {
  const toResponse = (output: unknown) =>
    ({
      stream: false,
      service: spec.method.parent,
      method: spec.method,
      message: normalize(spec.method.output, output),
      header: context.responseHeader,
      trailer: context.responseTrailer,
    }) as unknown as AnyResponse;
  const call = (request: AnyRequest): Promise<AnyResponse> => {
    try {
      const result = (spec.impl as unknown as UnaryFn)(request.message as Message, context);
      return isPromise(result) ? result.then(toResponse) : Promise.resolve(toResponse(result));
    } catch (error) {
      return Promise.reject(error);
    }
  };
  const response = await callThrough(call, context, new ServerRequest(context, false, message), interceptors);
  copyHeaders(response.header, context.responseHeader);
  copyHeaders(response.trailer, context.responseTrailer);
  return response.message as Message;
}

/** Calls a handler of any kind with messages in and messages out. */
export function invokeStream(
  spec: MethodImplSpec,
  context: CallContext,
  input: AsyncIterable<Message>,
  interceptors: readonly Interceptor[],
): AsyncIterator<Message> {
  if (spec.kind === "unary")
    return onlyItem(input, "unary", (message) => invokeUnary(spec, context, message, interceptors));
  if (interceptors.length > 0) return invokeIntercepted(spec, context, input, interceptors);
  switch (spec.kind) {
    case "client_streaming":
      return one(() => callClientStream(spec, context, input));
    case "server_streaming":
      return serverStream(spec, context, input);
    case "bidi_streaming":
      return normalizeAll(spec.method.output, (spec.impl as unknown as BidiFn)(input, context));
  }
}

async function* invokeIntercepted(
  spec: MethodImplSpec,
  context: CallContext,
  input: AsyncIterable<Message>,
  interceptors: readonly Interceptor[],
): AsyncGenerator<Message> {
  const call = async (request: AnyRequest) => {
    const messages = request.message as AsyncIterable<Message>;
    return {
      stream: true,
      service: spec.method.parent,
      method: spec.method,
      message: iterable(() => invokeStream(spec, context, messages, [])),
      header: context.responseHeader,
      trailer: context.responseTrailer,
    } as unknown as AnyResponse;
  };
  const response = await callThrough(call, context, new ServerRequest(context, true, input), interceptors);
  copyHeaders(response.header, context.responseHeader);
  yield* response.message as AsyncIterable<Message>;
  copyHeaders(response.trailer, context.responseTrailer);
}

async function callClientStream(spec: MethodImplSpec, context: CallContext, input: AsyncIterable<Message>) {
  return normalize(spec.method.output, await (spec.impl as unknown as ClientStreamFn)(input, context));
}

async function* serverStream(spec: MethodImplSpec, context: CallContext, input: AsyncIterable<Message>) {
  const message = await readOnly(input, "server-streaming");
  const output = (spec.impl as unknown as ServerStreamFn)(message, context);
  for await (const item of output) yield normalize(spec.method.output, item);
}

async function* onlyItem(
  input: AsyncIterable<Message>,
  kind: string,
  call: (message: Message) => Message | Promise<Message>,
): AsyncGenerator<Message> {
  yield await call(await readOnly(input, kind));
}

async function* one(call: () => Promise<Message>): AsyncGenerator<Message> {
  yield await call();
}

/** The message of a call that takes exactly one. */
async function readOnly(input: AsyncIterable<Message>, kind: string): Promise<Message> {
  const iterator = input[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done === true) {
    throw new ConnectError(`protocol error: missing input message for ${kind} method`, Code.Unimplemented);
  }
  if ((await iterator.next()).done !== true) {
    throw new ConnectError(`protocol error: received extra input message for ${kind} method`, Code.Unimplemented);
  }
  return first.value;
}

/** Gives messages to init shapes, without a generator's extra turns. */
function normalizeAll(schema: DescMessage, output: AsyncIterable<object>): AsyncIterator<Message> {
  const iterator = output[Symbol.asyncIterator]();
  const transform = (result: IteratorResult<object>): IteratorResult<Message> => {
    if (result.done !== true) result.value = normalize(schema, result.value);
    return result as IteratorResult<Message>;
  };
  return {
    next: () => iterator.next().then(transform),
    ...(iterator.return && { return: async () => ({ done: true, value: (await iterator.return?.())?.value }) }),
  };
}

/** What handlers return may be a message or the init shape of one. */
export function normalize(schema: DescMessage, value: unknown): Message {
  if (typeof value === "object" && value !== null && (value as Message).$typeName === schema.typeName) {
    return value as Message;
  }
  return create(schema, value as Record<string, unknown>);
}

function iterable<T>(iterate: () => AsyncIterator<T>): AsyncIterable<T> {
  return { [Symbol.asyncIterator]: iterate };
}

/**
 * A call as interceptors see it. All but the signal are properties of its own, which they may copy; the signal is made when somebody
 * asks, and {@link callThrough} gives it to copies.
 */
class ServerRequest {
  readonly stream: boolean;
  readonly message: unknown;
  readonly method: DescMethod;
  readonly service: DescService;
  readonly requestMethod: string;
  readonly url: string;
  readonly header: Headers;
  readonly contextValues: ContextValues;
  readonly #context: CallContext;

  constructor(context: CallContext, stream: boolean, message: unknown) {
    this.#context = context;
    this.stream = stream;
    this.message = message;
    this.method = context.method;
    this.service = context.service;
    this.requestMethod = context.requestMethod;
    this.url = context.url;
    this.header = context.requestHeader;
    this.contextValues = context.values;
  }

  get signal(): AbortSignal {
    return this.#context.signal;
  }
}

/** Runs a call through interceptors as they know it. */
function callThrough(
  call: (request: AnyRequest) => Promise<AnyResponse>,
  context: CallContext,
  request: ServerRequest,
  interceptors: readonly Interceptor[],
): Promise<AnyResponse> {
  const innermost: AnyFn = (sent) => {
    // Looking at an untouched signal would make it.
    const untouched = (sent as unknown) === request || !("signal" in sent);
    context.replace(sent.header, untouched ? undefined : sent.signal, sent.contextValues);
    return call(sent);
  };
  let next = innermost;
  for (let index = interceptors.length - 1; index >= 0; index--) {
    const intercepted = (interceptors[index] as Interceptor)(next);
    // The outermost gets the request itself, which has its signal.
    next =
      index === 0
        ? intercepted
        : (sent) => intercepted("signal" in sent ? sent : { ...(sent as AnyRequest), signal: context.signal });
  }
  return next(request as unknown as AnyRequest);
}

/** Interceptors may answer with Headers of their own. */
function copyHeaders(from: Headers, to: Headers): void {
  if (from === to) return;
  for (const name of [...to.keys()]) to.delete(name);
  from.forEach((value, name) => {
    to.append(name, value);
  });
}

export function isPromise(value: unknown): value is Promise<unknown> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}
