import type { CreateJobHandlers } from "./jobs.js";
import { createClaimHandlers } from "./pubsub-claims.js";
import type { PubSubJobs } from "./pubsub-jobs.js";
import { createOrderingKeys } from "./pubsub-keys.js";
import { createPublishHandlers } from "./pubsub-publish.js";
import { createRetentionHandlers } from "./pubsub-retention.js";
import { createSettlementHandlers } from "./pubsub-settlements.js";

/** The pubsub block's jobs, on the writer's thread. */
export const createPubSubHandlers: CreateJobHandlers<PubSubJobs> = (db) => {
  const keys = createOrderingKeys(db);
  return {
    ...createPublishHandlers(db),
    ...createClaimHandlers(db, keys),
    ...createSettlementHandlers(db, keys),
    ...createRetentionHandlers(db),
  };
};
