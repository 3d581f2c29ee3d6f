import { systemClock } from "@mecha/component";
import {
  createAuthority,
  createToken,
  defaultAuthorityPort,
  listTokens,
  loadAuthority,
  revokeToken,
  serveAuthority,
} from "@mecha/identity";
import { CliError, exitCodes, signalExitCode } from "./errors.js";
import { formatDuration } from "./format.js";
import { createLogger } from "./logger.js";
import { describePortHolder } from "./port-holder.js";
import { defaultHost, type LogLevel } from "./settings.js";
import { handleSignals } from "./signals.js";
import pc from "./terminal/colors.js";
import { print, printJson } from "./terminal/print.js";
import { formatTable } from "./terminal/table.js";

/** Makes an authority in a folder. */
export async function init(folder: string, trustDomain: string): Promise<void> {
  const { certificate } = createAuthority(folder, { trustDomain });
  await print(
    `made an authority of trust domain ${pc.bold(trustDomain)} in ${folder}, good until ${certificate.validTo}\n` +
      `keep ca.key secret: whoever reads it can be any app. Next: mecha ca serve --dir ${folder}\n`,
  );
}

/** What `mecha ca token` takes. */
export interface TokenFlags {
  dir: string;
  app: string;
  namespace: string;
  /** In ms. */
  ttl: number;
  json?: true | undefined;
}

/** Prints a new token: alone on stdout, and what there is to know of it on stderr. */
export async function token({ dir, app: appId, namespace, ttl: ttlMs, json }: TokenFlags): Promise<void> {
  const made = createToken(dir, { id: { namespace, appId }, ttlMs });
  if (json) return await printJson({ ...made, ...timesOf(made) });
  await print(`${made.token}\n`);
  const use = `one runtime of app ${appId} in namespace ${namespace} may enrol with it within ${formatDuration(ttlMs)}`;
  process.stderr.write(`${use}; mecha ca revoke ${made.id} makes it useless\n`);
}

/** Prints the tokens that can be used still. */
export async function tokens(folder: string, json: boolean): Promise<void> {
  // An empty list is of an authority that is there.
  loadAuthority(folder, Date.now());
  const open = listTokens(folder);
  if (json) {
    for (const info of open) await printJson({ ...info, ...timesOf(info) });
    return;
  }
  const rows = open.map(({ id, appId, namespace, expireTime }) => [
    id,
    appId,
    namespace,
    formatDuration(expireTime - Date.now()),
  ]);
  await print(
    rows.length === 0 ? "no token can be used\n" : `${formatTable(["ID", "APP", "NAMESPACE", "GOOD FOR"], rows)}\n`,
  );
}

/** Makes a token useless. */
export async function revoke(folder: string, id: string): Promise<void> {
  loadAuthority(folder, Date.now());
  if (!revokeToken(folder, id)) {
    throw new CliError(`no token ${id} can be used: it is used, expired or revoked, or never was (mecha ca tokens)`);
  }
  await print(`token ${id} is useless now\n`);
}

/** What `mecha ca serve` takes. */
export interface CaServeFlags {
  dir: string;
  host?: string | undefined;
  port?: number | undefined;
  logLevel: LogLevel;
}

/** Serves the authority until a signal stops it. */
export async function serve({
  dir,
  host = defaultHost,
  port = defaultAuthorityPort,
  logLevel,
}: CaServeFlags): Promise<void> {
  const logger = await createLogger(logLevel, {
    pretty: process.stdout.isTTY === true,
    color: pc.isColorSupported,
  });
  const server = await serveAuthority({ folder: dir, host, port, clock: systemClock, logger }).catch(
    async (error: unknown) => {
      if (!(error instanceof Error && "code" in error && error.code === "EADDRINUSE")) throw error;
      throw new CliError(
        `port ${port} is in use by ${await describePortHolder(port)}; stop it, or choose another with --port`,
      );
    },
  );
  const { endpoint, trustDomain, fingerprint } = server;
  logger.info({ endpoint, trustDomain, fingerprint }, "ready");
  const stopped = Promise.withResolvers<void>();
  handleSignals({
    first: () => stopped.resolve(),
    second: (signal) => process.exit(signalExitCode(signal)),
  });
  await stopped.promise;
  await server.close();
  logger.info({}, "stopped");
  process.exit(exitCodes.ok);
}

const timesOf = ({ createTime, expireTime }: { createTime: number; expireTime: number }) => ({
  createTime: new Date(createTime).toISOString(),
  expireTime: new Date(expireTime).toISOString(),
});
