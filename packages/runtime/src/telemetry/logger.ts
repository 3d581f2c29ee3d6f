import type { Logger as ComponentLogger } from "@mecha/component";

/** What the runtime needs of a logger: a part of pino's. */
export interface RuntimeLogger {
  /** "trace", "debug", "info", "warn", "error", "fatal" or "silent"; set by `AdminService.SetLogLevel`. */
  level: string;
  isLevelEnabled(level: string): boolean;
  child(bindings: Record<string, unknown>): RuntimeLogger;
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** The levels that `SetLogLevel` takes. */
export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

/** Says nothing: an embedded runtime leaves its host's output alone. */
export const silentLogger: RuntimeLogger = {
  level: "silent",
  isLevelEnabled: () => false,
  child: () => silentLogger,
  debug() {},
  info() {},
  warn() {},
  error() {},
};

/** JSON lines on standard output. pino is loaded here only: an embedded runtime with a logger of its own, or none, does not pay for it. */
export async function createPinoLogger(level: string): Promise<RuntimeLogger> {
  const { pino } = await import("pino");
  const logger: RuntimeLogger = pino({ level, base: null });
  return logger;
}

/** The log of one component, in the shape that components know. */
export function createComponentLogger(logger: RuntimeLogger, component: string): ComponentLogger {
  const own = logger.child({ component });
  return {
    debug: (message, fields = {}) => own.debug(fields, message),
    info: (message, fields = {}) => own.info(fields, message),
    warn: (message, fields = {}) => own.warn(fields, message),
    error: (message, fields = {}) => own.error(fields, message),
  };
}
