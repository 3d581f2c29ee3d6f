import { expiryMutants } from "./expiry.js";
import { itemMutants } from "./items.js";
import { listMutants } from "./list.js";
import { outboxMutants } from "./outbox.js";
import { requestIdMutants } from "./request-ids.js";
import { watchMutants } from "./watch.js";
import { writeMutants } from "./writes.js";

export type { Mutant } from "./mutant.js";

export const mutants = [
  ...itemMutants,
  ...writeMutants,
  ...listMutants,
  ...expiryMutants,
  ...requestIdMutants,
  ...watchMutants,
  ...outboxMutants,
];
