export type { CallName, FailOptions, Fault, FaultOptions, Faults } from "./faults.js";
export { startTestRuntime, type TestClock, type TestRuntime, type TestRuntimeOptions } from "./test-runtime.js";
