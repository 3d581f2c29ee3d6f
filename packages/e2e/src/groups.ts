import type { MessageInitShape } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { type GroupSettingsSchema, PubSubService } from "@mecha/api/pubsub";
import { createTransport } from "@mecha/rpc";

/** Makes a group, so that all that is published from now on is for it. */
export async function openGroup(
  endpoint: string,
  topic: string,
  group: string,
  settings: MessageInitShape<typeof GroupSettingsSchema> = {},
): Promise<void> {
  await using transport = createTransport({ endpoint });
  // A pull that waits for nothing.
  await createClient(PubSubService, transport).pull({ open: { topic, group, settings } });
}
