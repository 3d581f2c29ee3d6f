import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { Code, ConnectError, type ContextValues, createContextValues, type HandlerContext } from "@connectrpc/connect";
import { createResponseHeaders, isTouched } from "./lazy-headers.js";

/** What is known about a call before its handler runs; what costs something is made when somebody asks. */
export interface CallHead {
  readonly requestMethod: string;
  readonly protocolName: string;
  /** The absolute URL. */
  url(): string;
  /** All request headers, as a copy that the handler owns. */
  headers(): Headers;
  /** Values made for this call, if any. */
  contextValues(): ContextValues | undefined;
}

/** Aborting without a reason would make a new error, with a stack, for each call that ends well. */
const completed = new DOMException("This operation was aborted", "AbortError");

/**
 * What a handler is given about its call. A handler that reads the message and answers costs no Headers, no AbortController and
 * no timer.
 */
export class CallContext implements HandlerContext {
  /** Where its server keeps it. */
  bagPlace = -1;
  readonly method: DescMethod;
  readonly #head: CallHead;
  readonly #deadline: number | undefined;
  #signalled: ((context: CallContext) => void) | undefined;
  #controller: AbortController | undefined;
  #timer: NodeJS.Timeout | undefined;
  #requestHeader: Headers | undefined;
  #responseHeader: Headers | undefined;
  #responseTrailer: Headers | undefined;
  #values: ContextValues | undefined;
  #signal: AbortSignal | undefined;
  #ended: boolean = false;
  #reason: unknown;

  /** @param signalled called when the signal is first asked for: only then need somebody tell when the caller goes. */
  constructor(
    method: DescMethod,
    head: CallHead,
    timeoutMs: number | undefined,
    signalled?: (context: CallContext) => void,
  ) {
    this.method = method;
    this.#head = head;
    this.#deadline = timeoutMs === undefined ? undefined : Date.now() + timeoutMs;
    this.#signalled = signalled;
  }

  get service(): DescService {
    return this.method.parent;
  }

  get requestMethod(): string {
    return this.#head.requestMethod;
  }

  get protocolName(): string {
    return this.#head.protocolName;
  }

  get url(): string {
    return this.#head.url();
  }

  get requestHeader(): Headers {
    this.#requestHeader ??= this.#head.headers();
    return this.#requestHeader;
  }

  get responseHeader(): Headers {
    this.#responseHeader ??= createResponseHeaders();
    return this.#responseHeader;
  }

  get responseTrailer(): Headers {
    this.#responseTrailer ??= createResponseHeaders();
    return this.#responseTrailer;
  }

  /** The response headers, if anybody set one. */
  get setHeader(): Headers | undefined {
    return isTouched(this.#responseHeader) ? this.#responseHeader : undefined;
  }

  /** The response trailers, if anybody set one. */
  get setTrailer(): Headers | undefined {
    return isTouched(this.#responseTrailer) ? this.#responseTrailer : undefined;
  }

  get values(): ContextValues {
    this.#values ??= this.#head.contextValues() ?? createContextValues();
    return this.#values;
  }

  readonly timeoutMs = (): number | undefined =>
    this.#deadline === undefined ? undefined : this.#deadline - Date.now();

  get signal(): AbortSignal {
    return this.#signal ?? this.#ownSignal();
  }

  /** Gives the handler what interceptors put in the place of the request's own. */
  replace(header: Headers, signal: AbortSignal | undefined, values: ContextValues): void {
    this.#requestHeader = header;
    this.#signal = signal;
    this.#values = values;
  }

  /** Ends the call: the signal fires, if anybody has it. Without a reason the call went well. */
  abort(reason: unknown = completed): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#reason = reason;
    clearTimeout(this.#timer);
    this.#controller?.abort(reason);
  }

  get ended(): boolean {
    return this.#ended;
  }

  #ownSignal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#ended) this.#controller.abort(this.#reason);
      else {
        if (this.#deadline !== undefined) this.#startTimer(this.#deadline - Date.now());
        this.#signalled?.(this);
      }
    }
    return this.#controller.signal;
  }

  #startTimer(remainingMs: number): void {
    const expire = () => this.abort(new ConnectError("the operation timed out", Code.DeadlineExceeded));
    if (remainingMs <= 0) expire();
    // A longer delay than Node's timers can hold would fire at once.
    else if (remainingMs < 2 ** 31) this.#timer = setTimeout(expire, remainingMs);
  }
}
