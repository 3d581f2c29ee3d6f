export { type Duration, type ErrorCode, MechaError, type RetryOptions, type Violation } from "@mecha/client";
export { createStateClient, type StateClient, type StateClientOptions } from "./client.js";
export type { StateCollection } from "./collection.js";
export type { StateEntry, StateItem } from "./item.js";
export type { ListOptions, StateList, StatePage } from "./list.js";
export {
  type Operation,
  type OperationFactory,
  type OperationResult,
  type OperationType,
  operation,
  type PublishOperationFactory,
  type PublishOperationOptions,
} from "./operation.js";
export type {
  DeleteCondition,
  DeleteOptions,
  Precondition,
  SetCondition,
  SetOptions,
  StateCallOptions,
  WriteOptions,
} from "./options.js";
export type { OutboxDeadLetter, OutboxOptions, StateOutbox } from "./outbox.js";
export type { Updated, UpdateOptions } from "./update.js";
export type { StateChange, StateWatch, WatchOptions } from "./watch.js";
