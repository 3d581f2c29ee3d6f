export { type Authority, openAuthority } from "./authority.js";
export { createFileIdentity, type FileIdentityOptions, type IdentityFiles } from "./files.js";
export { type Credentials, type Identity, IdentityError, type IdentityLogger } from "./identity.js";
export { createIssuedIdentity, type IssuedIdentityOptions, issueCredentials } from "./issued.js";
export * from "./spiffe.js";
export { checkServer, mutualTls, type Verdict, verifyPeer } from "./verify.js";
