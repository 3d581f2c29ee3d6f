import { systemClock } from "@mecha/component";
import { createAuthority, createEnrolledIdentity, createToken, serveAuthority } from "@mecha/identity";

const logger = { info: console.log, warn: console.warn, error: console.error };

// Where the authority is: once, then for as long as it serves, then for each runtime that is to join.
createAuthority("ca", { trustDomain: "shop.example" });
await using server = await serveAuthority({ folder: "ca", port: 0, clock: systemClock, logger });
const { token } = createToken("ca", { id: { namespace: "default", appId: "orders" } });

// Where the runtime is. After the first start it needs no token.
const identity = await createEnrolledIdentity({
  authority: server.endpoint,
  token,
  id: { namespace: "default", appId: "orders" },
  folder: "identity",
  clock: systemClock,
  logger,
});
identity.onChange(({ expireTime }) => console.log("renewed until", new Date(expireTime)));
console.log("enrolled until", new Date(identity.current.expireTime));
identity.close();
