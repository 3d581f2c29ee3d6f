import { expect, test } from "vitest";
import { hour, openIdentity, startAuthority, until } from "../../test/authority.js";

test("a runtime enrols with a token, and renews at half of its certificate's life with a new key", async () => {
  const { server, token, clock } = await startAuthority();
  const identity = await openIdentity({ authority: server.endpoint, token: token(), clock });
  const first = identity.current;
  clock.advance(12 * hour);
  await until(() => identity.current !== first);
  expect(identity.current.secrets().key).not.toBe(first.secrets().key);
});
