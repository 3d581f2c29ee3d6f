import assert from "node:assert/strict";
import { addressesOf, type CaseDefinition } from "./kit.js";

/** What every discovery does, however instances come into it. */
export const lookups: CaseDefinition[] = [
  {
    name: "declares its features, and has what they mean",
    async run(kit) {
      const { discovery } = await kit.open();
      assert.deepEqual(new Set(discovery.features), new Set(kit.harness.features));
      assert.equal(discovery.leases !== undefined, discovery.features.includes("REGISTER"));
      assert.equal(discovery.list !== undefined, discovery.features.includes("LIST"));
    },
  },
  {
    name: "an app that nobody knows is undefined, to a lookup and to a watch; where it was looked for is told in words",
    async run(kit) {
      const session = await kit.open();
      assert.equal(await session.resolve("nobody"), undefined);
      const watcher = session.watch("nobody");
      await watcher.expect(undefined, "nobody knows the app");
      await watcher.stop();
      assert.match(session.discovery.describe({ namespace: kit.namespace, app: "nobody" }), /^\S.+/);
    },
  },
  {
    name: "an app that was there before is found, at each of its addresses",
    applies: ({ known }) => known !== undefined,
    async run(kit) {
      const session = await kit.open();
      const { known } = kit.harness;
      assert(known !== undefined);
      const found = await session.resolve(known.app, known.namespace);
      assert.deepEqual(addressesOf(found), known.addresses.toSorted());
      for (const { app, weight } of found ?? [])
        assert.deepEqual({ app, sane: weight >= 0 && weight <= 1000 }, { app: known.app, sane: true });
      const ids = new Set(found?.map(({ id }) => id));
      assert.equal(ids.size, known.addresses.length, "each instance has an id of its own");
      const watcher = session.watch(known.app, known.namespace);
      await watcher.expect(
        found?.map(({ id }) => id),
        "a watch tells the same",
      );
      await watcher.stop();
    },
  },
];
