import { createClient } from "@connectrpc/connect";
import { BindingService } from "@mecha/api/binding";
import { type CallOptions, type ClientOptions, connectRuntime, plainCodec, toRpcOptions } from "@mecha/client";

/** Options of {@link createBindingClient}. */
export interface BindingClientOptions extends ClientOptions {}

/** How to invoke an operation. */
export interface InvokeOptions extends CallOptions {
  /** The operation's parameters: `mecha info` lists them. */
  metadata?: Record<string, string>;
  /** The media type of the data, if it is not JSON (plain objects) or bytes (`Uint8Array`). */
  contentType?: string;
}

/** What came of an operation. */
export interface InvokeResult<T = unknown> {
  /** By content type: JSON is parsed, `text/*` is a string, anything else is bytes; undefined if there is none. */
  readonly data: T;
  readonly contentType: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Operations on what lies outside. */
export interface BindingClient extends AsyncDisposable {
  /** Does one operation. A type argument is the caller's claim about the answer. */
  invoke<T = unknown>(
    binding: string,
    operation: string,
    data?: unknown,
    options?: InvokeOptions,
  ): Promise<InvokeResult<T>>;
  close(): Promise<void>;
}

/** A client of the runtime's binding block. Connects by the first call. */
export function createBindingClient(options: BindingClientOptions = {}): BindingClient {
  const runtime = connectRuntime(options);
  const rpc = createClient(BindingService, runtime.transport);
  return {
    async invoke<T>(binding: string, operation: string, data?: unknown, options: InvokeOptions = {}) {
      const { metadata = {} } = options;
      const encoded =
        data === undefined
          ? { value: new Uint8Array(), contentType: "" }
          : await plainCodec.encode(data, `data for operation "${operation}"`);
      const contentType = options.contentType ?? encoded.contentType;
      const request = { binding, operation, data: encoded.value, contentType, metadata };
      const answer = await rpc.invoke(request, toRpcOptions(options));
      const isEmpty = answer.data.byteLength === 0 && answer.contentType === "";
      const value = isEmpty
        ? undefined
        : await plainCodec.decode({ value: answer.data, contentType: answer.contentType }, `answer of "${operation}"`);
      return { data: value as T, contentType: answer.contentType, metadata: answer.metadata };
    },
    close: runtime.close,
    [Symbol.asyncDispose]: runtime.close,
  };
}
