export { type Authority, openAuthority } from "./authority.js";
export { IdentityError } from "./identity.js";
export { defaultTrustDomain, formatSpiffeId, type SpiffeId } from "./spiffe.js";
