export { z } from "zod";
export { checkInvocation, type Invocation } from "./binding/check-invocation.js";
export * from "./binding/features.js";
export { createInputQueue, type InputQueue, type InputQueueOptions } from "./binding/input-queue.js";
export type * from "./binding/interface.js";
export { withOperationsTable } from "./binding/operations-table.js";
export type { Clock } from "./clock.js";
export { systemClock } from "./clock.js";
export type {
  AssistStore,
  Blocks,
  Component,
  ComponentContext,
  ComponentDefinition,
  Logger,
  Serves,
} from "./component.js";
export { defineComponent } from "./component.js";
export type { DeliverySource, Lease, Settlement } from "./delivery/interface.js";
export { type ConfigOption, describeConfig, optionsTable, withOptionsTable } from "./describe-config.js";
export { AppWatches, type AppWatchesOptions, type FoundApp } from "./discovery/app-watches.js";
export * from "./discovery/features.js";
export type * from "./discovery/interface.js";
export type { Durability } from "./durability.js";
export { durationMs } from "./duration.js";
export type { Reason } from "./errors.js";
export { ComponentError, reasons } from "./errors.js";
export { dnsLabelInWords, dnsLabelPattern } from "./names.js";
export { requirePublishable, type SetAside, setFaultyAside } from "./pubsub/faults.js";
export * from "./pubsub/features.js";
export { requireSameGroup } from "./pubsub/group-settings.js";
export { gone, publishInOrder } from "./pubsub/in-order.js";
export type * from "./pubsub/interface.js";
export type { SecretStore } from "./secret/interface.js";
export * from "./state/features.js";
export type * from "./state/interface.js";
export { type ResumeTokens, resumeTokens } from "./state/resume-tokens.js";
export { type Upheld, Upkeep, type UpkeepOptions } from "./upkeep.js";
