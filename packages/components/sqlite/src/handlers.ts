import { createDiscoveryHandlers } from "./discovery/handlers.js";
import type { CreateJobHandlers, Jobs } from "./jobs.js";
import { createPubSubHandlers } from "./pubsub-handlers.js";
import { createStateHandlers } from "./state-writes.js";

/** Every block's jobs, on the writer's thread. */
export const createHandlers: CreateJobHandlers<Jobs> = (db) => ({
  ...createStateHandlers(db),
  ...createPubSubHandlers(db),
  ...createDiscoveryHandlers(db),
});
