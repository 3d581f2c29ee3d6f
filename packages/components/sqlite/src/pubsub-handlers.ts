import type { CreateJobHandlers } from "./jobs.js";
import { createClaimHandlers } from "./pubsub-claims.js";
import { createGroupHandlers } from "./pubsub-groups.js";
import type { PubSubJobs } from "./pubsub-jobs.js";
import { createOrderingKeys } from "./pubsub-keys.js";
import { createPublisher, createPublishHandlers } from "./pubsub-publisher.js";
import { createRetentionHandlers } from "./pubsub-retention.js";
import { createSettlementHandlers } from "./pubsub-settlements.js";
import { createTopics } from "./pubsub-topics.js";

/** The pubsub block's jobs, on the writer's thread. */
export const createPubSubHandlers: CreateJobHandlers<PubSubJobs> = (db) => {
  const keys = createOrderingKeys(db);
  const topics = createTopics(db);
  return {
    ...createPublishHandlers(createPublisher(db, topics)),
    ...createGroupHandlers(db, topics),
    ...createClaimHandlers(db, keys),
    ...createSettlementHandlers(db, keys),
    ...createRetentionHandlers(db),
  };
};
