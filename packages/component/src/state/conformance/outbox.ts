import { deliveryCases } from "./outbox/delivery.js";
import { transactionCases } from "./outbox/transactions.js";

/** What `publish` in a transaction promises. */
export const outboxCases = [...transactionCases, ...deliveryCases].map((definition) => ({
  ...definition,
  feature: "OUTBOX" as const,
}));
