import { type Logger, pino } from "pino";
import type { LogLevel } from "./settings.js";

/** How the log looks. */
export interface LogStyle {
  /** Lines for people, else JSON for machines. */
  pretty: boolean;
  color: boolean;
}

/** The log of this process, on standard output. */
export async function createLogger(level: LogLevel, style: LogStyle): Promise<Logger> {
  const options = { level, base: null };
  if (!style.pretty) return pino(options);
  // Only a terminal pays for the formatter; in this thread, so that no line is lost when the process ends.
  const { default: pretty } = await import("pino-pretty");
  return pino(options, pretty({ colorize: style.color, translateTime: "SYS:HH:MM:ss.l", sync: true }));
}
