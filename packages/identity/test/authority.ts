import { join } from "node:path";
import { createManualClock, type ManualClock } from "@mecha/component/conformance";
import { onTestFinished } from "vitest";
import {
  createAuthority,
  createEnrolledIdentity,
  createToken,
  type EnrolledIdentityOptions,
  type Identity,
  serveAuthority,
} from "../src/index.js";
import { temporaryFolder } from "./helpers.js";
import { createLog } from "./log.js";

export const hour = 60 * 60_000;
export const shop = { namespace: "default", appId: "shop" };

/**
 * An authority that listens on a free port, and what a test needs of it. OpenSSL has no clock but the machine's: by default the test's is 12 hours
 * behind it, so that what is issued now and what is issued half a life later are both valid.
 */
export async function startAuthority({
  folder = join(temporaryFolder(), "ca"),
  trustDomain = "shop.example",
  clock = createManualClock(Date.now() - 12 * hour),
  port = 0,
}: {
  folder?: string;
  trustDomain?: string;
  clock?: ManualClock;
  port?: number;
} = {}) {
  const now = () => clock.now();
  try {
    createAuthority(folder, { trustDomain, now: now() });
  } catch {
    // The test has made it.
  }
  const log = createLog();
  const server = await serveAuthority({ folder, port, clock, logger: log.logger });
  onTestFinished(() => server.close());
  return {
    server,
    folder,
    clock,
    log,
    token: (id: Partial<typeof shop> = {}, ttlMs?: number) =>
      createToken(folder, { id: { ...shop, ...id }, now: now(), ...(ttlMs !== undefined && { ttlMs }) }).token,
  };
}

/** Enrols an app, or opens what it enrolled before; closed after the test. */
export async function openIdentity(
  options: Pick<EnrolledIdentityOptions, "authority" | "clock"> & Partial<EnrolledIdentityOptions>,
): Promise<Identity & { readonly folder: string; readonly log: ReturnType<typeof createLog> }> {
  const log = createLog();
  const folder = options.folder ?? join(temporaryFolder(), "identity");
  const identity = await createEnrolledIdentity({ id: shop, folder, logger: log.logger, ...options });
  onTestFinished(identity.close);
  return Object.assign(Object.create(identity) as Identity, { folder, log });
}

/** Polls until it is so; fails after 10 s. */
export async function until(isSo: () => boolean): Promise<void> {
  const end = Date.now() + 10_000;
  while (!isSo()) {
    if (Date.now() > end) throw new Error(`not so within 10 s: ${isSo}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
