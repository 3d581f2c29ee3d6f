export { createManualClock, type ManualClock } from "./manual-clock.js";
export { startComponent } from "./start-component.js";
export * from "./state/conformance.js";
