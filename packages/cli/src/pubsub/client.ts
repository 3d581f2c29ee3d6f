import { type Client, createClient } from "@connectrpc/connect";
import { PubSubService } from "@mecha/api/pubsub";
import { type ClientFlags, connect } from "../client-options.js";

/** What every command about events takes. */
export interface PubSubFlags extends ClientFlags {
  pubsub: string;
  json?: true | undefined;
}

/** The contract itself, not @mecha/pubsub: these commands show bytes and media types as they are. */
export type PubSubRpc = Client<typeof PubSubService>;

/** Calls the pubsub block, and closes the connection whatever happens. */
export async function withPubSub(flags: ClientFlags, action: (pubsub: PubSubRpc) => Promise<void>): Promise<void> {
  await using connection = await connect(flags);
  await action(createClient(PubSubService, connection.transport));
}
