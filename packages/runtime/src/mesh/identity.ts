import { join } from "node:path";
import { createEnrolledIdentity, createFileIdentity, createIssuedIdentity, type Identity } from "@mecha/identity";
import { ensureDataDir } from "../components/start.js";
import type { MeshContext } from "./mesh.js";

/** Who this runtime is: by files, by an authority of several hosts, or by the one of the data directory. Rejects with an IdentityError. */
export async function createIdentity({
  options,
  appId,
  namespace,
  dataDir,
  clock,
  logger,
}: Omit<MeshContext, "identity">): Promise<Identity> {
  const { certificates, authority, trustDomain } = options;
  const id = { namespace, appId };
  if (certificates !== undefined) return createFileIdentity({ files: certificates, id, clock, logger });
  ensureDataDir(dataDir);
  if (authority === undefined) return createIssuedIdentity({ id: { ...id, trustDomain }, dataDir, clock, logger });
  const folder = join(dataDir, "identity", `${namespace}.${appId}`);
  return createEnrolledIdentity({
    authority: authority.address,
    token: authority.token,
    id: { ...id, trustDomain: authority.trustDomain },
    folder,
    clock,
    logger,
  });
}
