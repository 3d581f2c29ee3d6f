import type { DescMethod } from "@bufbuild/protobuf";
import type { StreamResponse, Transport } from "@connectrpc/connect";

/** Calls that have not ended. */
export interface OpenCalls {
  /** The transport whose calls are counted. */
  readonly transport: Transport;
  /** Each open call by its method: "mecha.state.v1.StateService/Watch". */
  list(): string[];
  /** Cancels them all. */
  cancel(): void;
}

/** Counts the calls of a transport, and the streams until they are read to their end, left or cancelled. */
export function countOpenCalls(transport: Transport): OpenCalls {
  const open = new Set<{ readonly method: string }>();
  const cancellation = new AbortController();
  const begin = (method: DescMethod, signal: AbortSignal | undefined) => {
    const call = { method: `${method.parent.typeName}/${method.name}` };
    open.add(call);
    return {
      signal: AbortSignal.any(signal === undefined ? [cancellation.signal] : [signal, cancellation.signal]),
      end: () => void open.delete(call),
    };
  };
  return {
    list: () => [...open].map(({ method }) => method),
    cancel: () => cancellation.abort(),
    transport: {
      async unary(method, caller, ...call) {
        const { signal, end } = begin(method, caller);
        try {
          return await transport.unary(method, signal, ...call);
        } finally {
          end();
        }
      },
      async stream(method, caller, ...call) {
        const { signal, end } = begin(method, caller);
        signal.addEventListener("abort", end, { once: true });
        try {
          const response = await transport.stream(method, signal, ...call);
          return { ...response, message: endWith(response.message, end) } satisfies StreamResponse;
        } catch (error) {
          end();
          throw error;
        }
      },
    },
  };
}

async function* endWith<Message>(messages: AsyncIterable<Message>, end: () => void): AsyncGenerator<Message> {
  try {
    yield* messages;
  } finally {
    end();
  }
}
