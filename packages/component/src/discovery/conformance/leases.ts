import assert from "node:assert/strict";
import { type CaseDefinition, instance } from "./kit.js";

/** What REGISTER and LIST promise. */
export const leases: CaseDefinition[] = [
  {
    name: "what is registered is found as it is, also by another process",
    feature: "REGISTER",
    async run(kit) {
      const [ours, theirs] = [await kit.open(), await kit.open()];
      const full = instance("i-1", "orders", { address: "[::1]:4242", version: "v2-β", zone: "eu-1a", weight: 0 });
      await ours.register(full);
      assert.deepEqual(await ours.resolve("orders"), [full]);
      assert.deepEqual(await theirs.resolve("orders"), [full]);
    },
  },
  {
    name: "instances of an app are told by id; apps and namespaces are kept apart",
    feature: "REGISTER",
    async run(kit) {
      const session = await kit.open();
      for (const id of ["i-3", "i-1", "i-2"]) await session.register(instance(id, "orders"));
      await session.register(instance("i-4", "billing"));
      await session.expectIds(["i-1", "i-2", "i-3"], "orders", "all of the app's, and no other's");
      await session.expectIds(["i-4"], "billing", "each app has its own");
      assert.equal(await session.resolve("orders", `${kit.namespace}-2`), undefined);
    },
  },
  {
    name: "registering again replaces the instance",
    feature: "REGISTER",
    async run(kit) {
      const session = await kit.open();
      await session.register(instance("i-1", "orders", { version: "1" }));
      await session.register(instance("i-1", "orders", { version: "2", address: "10.0.0.2:3601" }));
      assert.deepEqual(await session.resolve("orders"), [
        instance("i-1", "orders", { version: "2", address: "10.0.0.2:3601" }),
      ]);
    },
  },
  {
    name: "a lease that nobody renews ends with its time; the app stays known",
    feature: "REGISTER",
    async run(kit) {
      const session = await kit.open();
      await session.register(instance("i-1", "orders"));
      await session.register(instance("i-2", "orders"), kit.ttlMs * 3);
      await kit.elapse(kit.ttlMs + 1);
      await session.expectIds(["i-2"], "orders", "the first lease is over, the second is not");
      await kit.elapse(kit.ttlMs * 2);
      await session.expectIds([], "orders", "a known app without an instance is not an unknown one");
    },
  },
  {
    name: "renewing prolongs a lease; one that has ended, or never was, must be registered anew",
    feature: "REGISTER",
    async run(kit) {
      const session = await kit.open();
      await session.register(instance("i-1", "orders"));
      for (let round = 0; round < 3; round++) {
        await kit.elapse(kit.ttlMs * 0.6);
        assert.equal(await session.renew("orders", "i-1"), true);
      }
      await session.expectIds(["i-1"], "orders", "a renewed lease outlasts its first time");
      await kit.elapse(kit.ttlMs + 1);
      assert.equal(await session.renew("orders", "i-1"), false);
      await session.expectIds([], "orders", "a renewal that came too late brings nothing back");
      assert.equal(await session.renew("orders", "i-9"), false);
      await session.register(instance("i-1", "orders"));
      await session.expectIds(["i-1"], "orders", "registered anew");
    },
  },
  {
    name: "what is deregistered is gone at once, for every process; the app stays known",
    feature: "REGISTER",
    async run(kit) {
      const [ours, theirs] = [await kit.open(), await kit.open()];
      await ours.register(instance("i-1", "orders"));
      await ours.register(instance("i-2", "orders"));
      await ours.deregister("orders", "i-1");
      await theirs.expectIds(["i-2"], "orders", "the other instance stays");
      await ours.deregister("orders", "i-2");
      await theirs.expectIds([], "orders", "nobody is left");
      assert.equal(await theirs.renew("orders", "i-2"), false, "it is not to be renewed");
      await ours.deregister("orders", "i-2");
      await ours.deregister("nobody", "i-2");
    },
  },
  {
    name: "lists the known apps of a namespace, sorted",
    feature: "LIST",
    applies: ({ features }) => features.includes("REGISTER"),
    async run(kit) {
      const session = await kit.open();
      assert.deepEqual(await session.list(), []);
      for (const app of ["orders", "billing", "a-1"]) await session.register(instance(`i-${app}`, app));
      await session.register(instance("i-x", "elsewhere"), kit.ttlMs, `${kit.namespace}-2`);
      await session.deregister("billing", "i-billing");
      assert.deepEqual(await session.list(), ["a-1", "billing", "orders"]);
    },
  },
  {
    name: "lists the known apps, what was there before among them",
    feature: "LIST",
    applies: ({ known }) => known !== undefined,
    async run(kit) {
      const session = await kit.open();
      const { known } = kit.harness;
      assert(known !== undefined);
      assert((await session.list(known.namespace)).includes(known.app));
    },
  },
];
