export * from "./binding/conformance.js";
export * from "./discovery/conformance.js";
export { createManualClock, type ManualClock } from "./manual-clock.js";
export * from "./pubsub/conformance.js";
export * from "./pubsub/event-load.js";
export * from "./pubsub/outage.js";
export { startComponent } from "./start-component.js";
export * from "./state/conformance.js";
export type { BlockHarness, ConformanceCase } from "./suite/cases.js";
