import { isIP } from "node:net";
import { CliError, exitCodes, signalExitCode } from "./errors.js";
import { createLogger } from "./logger.js";
import type { RuntimeSettings } from "./settings.js";
import { handleSignals } from "./signals.js";
import { startRuntime } from "./start-runtime.js";
import pc from "./terminal/colors.js";
import { readToken } from "./token.js";

/** What `mecha serve` does. */
export interface ServeOptions {
  settings: RuntimeSettings;
  /** The file that holds the token. */
  tokenFile: string | undefined;
  /** Whether to ask for no token, wherever it listens. */
  withoutToken: boolean;
}

/** Runs the runtime until a signal stops it. */
export async function serve(options: ServeOptions): Promise<void> {
  const { settings } = options;
  const token = await resolveToken(options);
  const logger = await createLogger(settings.logLevel, {
    pretty: process.stdout.isTTY === true,
    color: pc.isColorSupported,
  });
  const { runtime, ended } = await startRuntime({ settings, token, anyPort: false, logger });
  handleSignals({
    first: () => void runtime.close(),
    second: (signal) => process.exit(signalExitCode(signal)),
  });
  // By a signal, or by `AdminService.Shutdown`.
  await ended;
  process.exit(exitCodes.ok);
}

/** The token that callers must send; undefined if none is needed. */
async function resolveToken({ settings, tokenFile, withoutToken }: ServeOptions): Promise<string | undefined> {
  if (withoutToken) return undefined;
  if (tokenFile !== undefined) return await readToken(tokenFile);
  const fromEnvironment = process.env.MECHA_API_TOKEN;
  if (fromEnvironment) return fromEnvironment;
  const { listen } = settings;
  if ("path" in listen || isLoopback(listen.host)) return undefined;
  throw new CliError(
    `other machines reach ${listen.host}, so callers need a token: say --token-file <path>, or set MECHA_API_TOKEN (or say --no-token if something else keeps them away)`,
    exitCodes.usage,
  );
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}
