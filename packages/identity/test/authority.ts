import { join } from "node:path";
import { type Client, createClient } from "@connectrpc/connect";
import { CertificateAuthorityService } from "@mecha/api/ca";
import { createManualClock, type ManualClock } from "@mecha/component/conformance";
import { createTransport, type TransportOptions } from "@mecha/rpc";
import { expect, onTestFinished } from "vitest";
import { authorityHostname } from "../src/authority-id.js";
import {
  createAuthority,
  createEnrolledIdentity,
  createToken,
  type EnrolledIdentityOptions,
  type Identity,
  loadAuthority,
  serveAuthority,
} from "../src/index.js";
import { temporaryFolder } from "./helpers.js";
import { createLog } from "./log.js";

export const hour = 60 * 60_000;
export const shop = { namespace: "default", appId: "shop" };

/** OpenSSL has no clock but the machine's: 12 hours behind it what is issued now, and what is issued half a life later, are both valid. */
export const createLateClock = () => createManualClock(Date.now() - 12 * hour);

interface AuthorityOptions {
  folder?: string;
  trustDomain?: string;
  clock?: ManualClock;
  port?: number;
}

/** Makes an authority; nothing listens. */
export function makeAuthority({ trustDomain = "shop.example", clock = createLateClock() }: AuthorityOptions = {}) {
  const folder = join(temporaryFolder(), "ca");
  createAuthority(folder, { trustDomain, now: clock.now() });
  return {
    folder,
    clock,
    load: () => loadAuthority(folder, clock.now()),
    token: (id: Partial<typeof shop> = {}) =>
      createToken(folder, { id: { ...shop, ...id }, now: clock.now(), ttlMs: 24 * hour }).token,
  };
}

/** Serves an authority, a new one unless told which, on a free port. Its log is looked through for secrets at the end. */
export async function startAuthority(
  made: ReturnType<typeof makeAuthority> = makeAuthority(),
  { port = 0, clock = made.clock }: AuthorityOptions = {},
) {
  const log = createGuardedLog();
  const server = await serveAuthority({ folder: made.folder, port, clock, logger: log.logger });
  onTestFinished(() => server.close());
  return { ...made, server, log };
}

/** Enrols an app, or opens what it enrolled before; closed after the test. Its log is looked through for secrets at the end. */
export async function openIdentity(
  options: Pick<EnrolledIdentityOptions, "authority" | "clock"> & Partial<EnrolledIdentityOptions>,
) {
  const log = createGuardedLog();
  const folder = options.folder ?? join(temporaryFolder(), "identity");
  const identity: Identity = await createEnrolledIdentity({ id: shop, folder, logger: log.logger, ...options });
  onTestFinished(identity.close);
  return { identity, folder, log };
}

/** What an error, and all that caused it, says. */
export async function messageOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => new Error("it did not fail"),
    (reason: unknown) => reason,
  );
  const { lines, logger } = createGuardedLog();
  logger.info({ error }, "");
  expectNoSecrets(lines);
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

/** A client as any program has it that knows the authority's certificate, and maybe has one of its own. */
export function callAuthority(
  endpoint: string,
  tls: NonNullable<TransportOptions["tls"]>,
  options: Partial<TransportOptions> = {},
): Client<typeof CertificateAuthorityService> {
  const transport = createTransport({
    endpoint: `https://${endpoint}`,
    tls: { serverName: authorityHostname, ...tls },
    ...options,
  });
  onTestFinished(() => transport.close());
  return createClient(CertificateAuthorityService, transport);
}

function createGuardedLog() {
  const log = createLog();
  onTestFinished(() => expectNoSecrets(log.lines));
  return log;
}

/** A private key in PEM, or a token: its id may be told, what follows it may not. */
function expectNoSecrets(lines: readonly string[]): void {
  expect(lines.join("\n")).not.toMatch(/PRIVATE|BEGIN|mecha1\.[0-9a-f]{16}\.[A-Za-z0-9_-]{10}/);
}

/** Polls until it is so; fails after 10 s. `turn` is done before each look, such as turning a clock. */
export async function until(isSo: () => boolean, turn: () => void = () => {}): Promise<void> {
  const end = Date.now() + 10_000;
  while (!isSo()) {
    if (Date.now() > end) throw new Error(`not so within 10 s: ${isSo}`);
    turn();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
