import assert from "node:assert/strict";
import { ComponentError } from "../../errors.js";
import type { CaseDefinition } from "./kit.js";
import { absent, check, etagIs, type StateSession, set } from "./session.js";

/** Whether a write was done; a refused precondition is no failure here. */
async function wins(write: Promise<unknown>): Promise<boolean> {
  try {
    await write;
    return true;
  } catch (error) {
    if (error instanceof ComponentError && ["ETAG_MISMATCH", "ALREADY_EXISTS", "NOT_EXISTS"].includes(error.reason)) {
      return false;
    }
    throw error;
  }
}

const times = <T>(count: number, make: (index: number) => T) =>
  Array.from({ length: count }, (_, index) => make(index));

async function increment(state: StateSession, key: string): Promise<void> {
  for (;;) {
    const item = await state.item(key);
    const next = String(Number(Buffer.from(item.value).toString()) + 1);
    if (await wins(state.set(key, next, { precondition: etagIs(item.etag) }))) return;
  }
}

/** What holds while others write, in this process and in another one. */
export const concurrencyCases: CaseDefinition[] = [
  {
    name: "concurrency: 64 writers compare-and-set one key and lose nothing",
    async run(kit) {
      const stores = await kit.pair();
      await stores[0].set("counter", "0");
      await Promise.all(times(64, (writer) => increment(stores[writer % 2 === 0 ? 0 : 1], "counter")));
      assert.equal(await stores[1].text("counter"), "64");
    },
  },
  {
    name: "concurrency: of many that create a key one wins",
    async run(kit) {
      const [a, b] = await kit.pair();
      for (let round = 0; round < 5; round++) {
        const won = await Promise.all(
          times(32, (n) => wins((n % 2 === 0 ? a : b).set(`key-${round}`, String(n), { precondition: absent }))),
        );
        assert.equal(won.filter(Boolean).length, 1);
        assert.equal(await b.text(`key-${round}`), String(won.indexOf(true)));
      }
    },
  },
  {
    name: "concurrency: a read sees every write that was answered before, whoever wrote it",
    async run(kit) {
      const [a, b] = await kit.pair();
      for (let round = 0; round < 30; round++) {
        const etag = await (round % 2 === 0 ? a : b).set("key", String(round));
        // Both read each time, so that one that keeps what it has read is found out.
        for (const reader of [a, b]) {
          assert.equal((await reader.item("key")).etag, etag);
          assert.equal((await reader.getMany(["key"]))[0]?.etag, etag);
          assert.equal((await reader.list()).items[0]?.etag, etag);
        }
      }
      await a.delete("key");
      assert.equal(await b.get("key"), undefined);
      assert.deepEqual(await b.keys(), []);
    },
  },
  {
    name: "concurrency: a check of an absent key holds against a concurrent create",
    feature: "TRANSACT",
    async run(kit) {
      const [a, b] = await kit.pair();
      for (let round = 0; round < 25; round++) {
        const [left, right] = [`left-${round}`, `right-${round}`];
        const won = await Promise.all([
          wins(a.write([check(right, absent), set(left, "")])),
          wins(b.write([check(left, absent), set(right, "")])),
        ]);
        const present = await a.getMany([left, right]);
        assert.equal(present.length, 1, "both were created: write skew");
        assert.deepEqual(won.filter(Boolean).length, 1);
      }
    },
  },
  {
    name: "concurrency: a check of an etag holds against a concurrent change",
    feature: "TRANSACT",
    async run(kit) {
      const [a, b] = await kit.pair();
      for (let round = 0; round < 25; round++) {
        const [left, right] = [`left-${round}`, `right-${round}`];
        const [leftEtag, rightEtag] = [await a.set(left, "on call"), await b.set(right, "on call")];
        const won = await Promise.all([
          wins(a.write([set(left, "off"), check(right, etagIs(rightEtag))])),
          wins(b.write([set(right, "off"), check(left, etagIs(leftEtag))])),
        ]);
        assert.equal(won.filter(Boolean).length, 1, "both went off call: write skew");
      }
    },
  },
  {
    name: "concurrency: transactions that touch the same keys in opposite orders all come through, whole",
    feature: "TRANSACT",
    async run(kit) {
      const [a, b] = await kit.pair();
      const keys = ["1", "2", "3", "4"];
      await Promise.all(
        times(40, (n) => {
          const operations = keys.map((key) => set(key, String(n)));
          return n % 2 === 0 ? a.write(operations) : b.write(operations.reverse());
        }),
      );
      const values = (await a.getMany(keys)).map(({ value }) => Buffer.from(value).toString());
      assert.equal(new Set(values).size, 1, `the last writers were mixed: ${values}`);
    },
  },
  {
    name: "concurrency: transfers between accounts keep the sum, and no reader sees another one",
    feature: "TRANSACT",
    async run(kit) {
      const [a, b] = await kit.pair();
      const accounts = times(5, (n) => `account-${n}`);
      await a.write(accounts.map((key) => set(key, "100")));
      const read = async (state: StateSession) => {
        const items = await state.getMany(accounts);
        const balances = items.map(({ value }) => Number(Buffer.from(value).toString()));
        assert.equal(
          balances.reduce((sum, balance) => sum + balance, 0),
          500,
          `the accounts hold ${balances}`,
        );
        return items.map(({ etag }, index) => ({ etag, balance: balances[index] ?? 0 }));
      };
      const transfer = async (state: StateSession, step: number) => {
        for (;;) {
          const found = await read(state);
          const [from, to] = [step % 5, (step * 3 + 1) % 5];
          const [payer, payee] = [found[from], found[to]];
          if (from === to || payer === undefined || payee === undefined) return;
          const operations = [
            set(`account-${from}`, String(payer.balance - 1), { precondition: etagIs(payer.etag) }),
            set(`account-${to}`, String(payee.balance + 1), { precondition: etagIs(payee.etag) }),
          ];
          if (await wins(state.write(operations))) return;
        }
      };
      await Promise.all(
        times(8, async (worker) => {
          for (let step = 0; step < 6; step++) await transfer(worker % 2 === 0 ? a : b, worker * 7 + step);
        }),
      );
      await read(b);
    },
  },
];
