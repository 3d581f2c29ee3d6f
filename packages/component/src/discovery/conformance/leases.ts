import assert from "node:assert/strict";
import { appMemoryMs } from "../features.js";
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
      for (const id of ["i-3", "i-1", "i-2"]) await session.register(instance(id, "orders"), kit.lastingMs);
      await session.register(instance("i-4", "billing"), kit.lastingMs);
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
      await session.register(instance("i-1", "orders", { version: "1" }), kit.lastingMs);
      await session.register(instance("i-1", "orders", { version: "2", address: "10.0.0.2:3601" }), kit.lastingMs);
      assert.deepEqual(await session.resolve("orders"), [
        instance("i-1", "orders", { version: "2", address: "10.0.0.2:3601" }),
      ]);
    },
  },
  {
    name: "registering again begins a new lease: a shorter one ends sooner",
    feature: "REGISTER",
    async run(kit) {
      const session = await kit.open();
      await session.register(instance("i-1", "orders"), kit.ttlMs * 4);
      await session.register(instance("i-1", "orders"));
      await kit.elapse(kit.ttlMs + 1);
      await session.expectIds([], "orders", "the lease that was registered last counts");
      assert.equal(await session.renew("orders", "i-1"), false);
    },
  },
  {
    name: "one id in two namespaces is two instances: neither renews, replaces or ends the other",
    feature: "REGISTER",
    async run(kit) {
      const session = await kit.open();
      const other = `${kit.namespace}-2`;
      await session.register(instance("i-1", "orders", { version: "ours" }));
      assert.equal(await session.renew("orders", "i-1", kit.ttlMs, other), false);
      await session.register(instance("i-1", "orders", { version: "theirs" }), kit.ttlMs * 4, other);
      assert.equal((await session.resolve("orders"))?.[0]?.version, "ours");
      await kit.elapse(kit.ttlMs + 1);
      await session.expectIds([], "orders", "a lease of the other namespace prolongs nothing here");
      await session.deregister("orders", "i-1");
      assert.equal((await session.resolve("orders", other))?.[0]?.version, "theirs");
      await session.deregister("orders", "i-1", other);
      assert.deepEqual(await session.resolve("orders", other), []);
    },
  },
  {
    name: "none of many that register, renew and leave at once is lost",
    feature: "REGISTER",
    async run(kit) {
      const sessions = [await kit.open(), await kit.open()];
      const ids = Array.from({ length: 60 }, (_, index) => `i-${String(index).padStart(2, "0")}`);
      const [first] = sessions;
      assert(first !== undefined);
      await Promise.all(
        ids.map(async (id, index) => {
          const session = sessions[index % sessions.length] ?? first;
          await session.register(instance(id, "orders"), kit.ttlMs * 4);
          if (index % 3 === 0) await session.deregister("orders", id);
          else assert.equal(await session.renew("orders", id, kit.ttlMs * 4), true);
        }),
      );
      const left = ids.filter((_, index) => index % 3 !== 0);
      for (const session of sessions) await session.expectIds(left, "orders", "those that stayed, and no other");
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
      await ours.register(instance("i-1", "orders"), kit.lastingMs);
      await ours.register(instance("i-2", "orders"), kit.lastingMs);
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
      for (const app of ["orders", "a0", "billing", "a", "a-1"]) await session.register(instance(`i-${app}`, app));
      await session.register(instance("i-2", "orders"));
      await session.register(instance("i-x", "elsewhere"), kit.ttlMs, `${kit.namespace}-2`);
      await session.deregister("billing", "i-billing");
      assert.deepEqual(await session.list(), ["a", "a-1", "a0", "billing", "orders"], "each once, in byte order");
      await kit.elapse(kit.ttlMs + 1);
      assert.deepEqual(await session.list(), ["a", "a-1", "a0", "billing", "orders"], "without instances, too");
    },
  },
  {
    name: "an app is known for an hour after its last lease has ended, and then forgotten; one that comes back counts anew",
    feature: "REGISTER",
    applies: ({ advance }) => advance !== undefined,
    async run(kit) {
      const session = await kit.open();
      await session.register(instance("i-1", "orders"));
      await session.register(instance("i-2", "billing"));
      await session.deregister("billing", "i-2");
      await kit.elapse(appMemoryMs - 1);
      await session.expectIds([], "billing", "it is known to the last ms");
      await kit.elapse(2);
      await session.expectIds(undefined, "billing", "an hour after it left");
      await session.expectIds([], "orders", "its lease ended later");
      await session.register(instance("i-3", "billing"));
      await kit.elapse(kit.ttlMs);
      await session.expectIds(undefined, "orders", "an hour after its lease ended");
      await session.expectIds([], "billing", "known again");
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
