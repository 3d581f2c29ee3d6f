export type { IdentityFiles } from "@mecha/identity";
export { type CheckOptions, type CheckResult, checkResources } from "./config/check.js";
export type { ResourceObject } from "./config/documents.js";
export { ConfigurationError, formatProblem, type Problem } from "./config/problem.js";
export { resourceJsonSchema } from "./config/schema.js";
export type { MeshOptions } from "./mesh/options.js";
export type { RuntimeOptions } from "./options.js";
export { createRuntime, type Runtime } from "./runtime.js";
export { logLevels, type RuntimeLogger } from "./telemetry/logger.js";
