import { admit, type ServerFacts } from "./admission.js";
import { type Client, explain, newClient } from "./client.js";
import type { ConnectOptions, Endpoint } from "./config.js";

/** A connection that is up. */
export interface Opened {
  readonly client: Client;
  readonly facts: ServerFacts;
  /** Resolves with why, when the connection is lost. */
  readonly lost: Promise<Error>;
  /** Declares it lost. */
  readonly lose: (error: Error) => void;
}

/** One attempt: connect, log in, look the server over. */
export async function open(endpoint: Endpoint, options: ConnectOptions): Promise<Opened> {
  const client = newClient(endpoint, options);
  let lose: (error: Error) => void = () => {};
  const lost = new Promise<Error>((resolve) => {
    lose = resolve;
  });
  // The client never reconnects by itself: an error is its end, and so is a channel whose slot has moved away.
  client.on("error", lose);
  client.on("sharded-channel-moved", () => lose(new Error("a channel has moved to another node")));
  const { address } = endpoint;
  const timer = setTimeout(
    () => lose(new Error(`Redis at ${address} was not ready within ${options.connectTimeoutMs} ms`)),
    options.connectTimeoutMs,
  );
  const opening = client.connect().then(() => admit((args) => client.sendCommand(args), address));
  try {
    const facts = await Promise.race([
      opening,
      lost.then((error) => {
        throw error;
      }),
    ]);
    return { client, facts, lost, lose };
  } catch (error) {
    opening.catch(() => {}); // The race may have been lost to a timeout.
    client.destroy();
    throw explain(error, address);
  } finally {
    clearTimeout(timer);
  }
}
