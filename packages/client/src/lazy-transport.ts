import type { Transport } from "@connectrpc/connect";

/** A transport that holds connections. */
export interface ClosableTransport extends Transport {
  /** Closes the connections; calls that still run fail. */
  close(): Promise<void>;
}

/** A transport that is loaded by its first call, so that importing a client costs nothing of it. */
export function lazyTransport(load: () => Promise<ClosableTransport>): ClosableTransport {
  let transport: ClosableTransport | undefined;
  let loading: Promise<ClosableTransport> | undefined;
  const get = (): ClosableTransport | Promise<ClosableTransport> => {
    if (transport !== undefined) return transport;
    loading ??= load().then(
      (loaded) => {
        transport = loaded;
        return loaded;
      },
      (error: unknown) => {
        loading = undefined; // The next call tries again.
        throw error;
      },
    );
    return loading;
  };
  return {
    unary: async (...call) => (await get()).unary(...call),
    stream: async (...call) => (await get()).stream(...call),
    close: async () => (await loading)?.close(),
  };
}
