export {
  type Authority,
  type CreateAuthorityOptions,
  createAuthority,
  loadAuthority,
  openAuthority,
} from "./authority.js";
export { defaultAuthorityPort } from "./authority-id.js";
export { type AuthorityServer, type ServeAuthorityOptions, serveAuthority } from "./ca/options.js";
export {
  type CreateTokenOptions,
  createToken,
  defaultTokenTtlMs,
  listTokens,
  maxTokenTtlMs,
  revokeToken,
  type TokenInfo,
} from "./ca/tokens.js";
export { createEnrolledIdentity, type EnrolledIdentityOptions } from "./enrolled/identity.js";
export { createFileIdentity, type FileIdentityOptions, type IdentityFiles } from "./files.js";
export { type Credentials, type Identity, IdentityError, type IdentityLogger, type Renewed } from "./identity.js";
export { createIssuedIdentity, type IssuedIdentityOptions, issueCredentials } from "./issued.js";
export { readServerCertificate, type ServerCertificate, type ServerCertificateOptions } from "./server-files.js";
export * from "./spiffe.js";
export { checkServer, mutualTls, type Verdict, verifyPeer } from "./verify.js";
