// Mecha in seven steps. `mecha run` has started a runtime beside this program; everything below talks to it.
//
// Nothing here says where the data is: by default in an SQLite file under .mecha/, and in PostgreSQL or Redis when a YAML file says so,
// without a change to this program.
import assert from "node:assert/strict";
import { createStateClient, MechaError, operation } from "@mecha/state";
import { begin, end, proves, step } from "./narrator.ts";

interface Order {
  item: string;
  quantity: number;
  status: "new" | "paid";
}

// Finds the runtime by MECHA_ENDPOINT, which `mecha run` has set. `await using` closes it at the end.
await using state = createStateClient();
begin();

// What an earlier run of this program left behind: it is still there, for state outlives the app.
for await (const { key } of state.listKeys({ prefix: "order-" })) await state.delete(key);

step("Set and get");
{
  const order: Order = { item: "teapot", quantity: 1, status: "new" };
  await state.set("order-1", order);

  const stored = await state.get<Order>("order-1");
  assert.deepEqual(stored?.value, order);
  assert.equal(await state.get("order-99"), undefined);
  proves("what was written is read back, and an absent key is undefined, not an error");
}

step("Compare and set: two writers, one order");
{
  // Both read the same version of the order …
  const mine = await state.get<Order>("order-1");
  const theirs = await state.get<Order>("order-1");
  assert(mine && theirs);

  // … the other one is faster …
  await state.set("order-1", { ...theirs.value, quantity: 2 }, { ifMatch: theirs.etag });

  // … so our write, made with what we knew, is refused instead of undoing theirs.
  const refusal = await state
    .set("order-1", { ...mine.value, status: "paid" }, { ifMatch: mine.etag })
    .catch((error: unknown) => error);
  assert(refusal instanceof MechaError && refusal.reason === "ETAG_MISMATCH");
  proves("the second writer gets ETAG_MISMATCH: nobody's update is lost");

  // `update` reads, changes and writes, and starts again if somebody was faster.
  await state.update<Order>("order-1", (order) => {
    assert(order);
    return { ...order, status: "paid" };
  });
  const merged = await state.get<Order>("order-1");
  assert.deepEqual(merged?.value, { item: "teapot", quantity: 2, status: "paid" });
  proves("tried again on what is there now, both changes are kept");
}

step("A transaction: all of it or nothing");
{
  await state.transact([
    operation.set("order-2", { item: "cup", quantity: 6, status: "new" } satisfies Order),
    operation.set("order-count", 2),
  ]);

  // Order 3 may only be made if order 2 does not exist; it does.
  const refusal = await state
    .transact([operation.set("order-3", { item: "spoon" }), operation.check("order-2", { ifAbsent: true })])
    .catch((error: unknown) => error);
  assert(refusal instanceof MechaError && refusal.reason === "ALREADY_EXISTS");
  assert.equal(refusal.metadata.operation_index, "1");
  assert.equal(await state.get("order-3"), undefined);
  proves("one failed check, and nothing of the transaction is written; the error names the operation");
}

step("List by prefix");
{
  const keys: string[] = [];
  for await (const item of state.list({ prefix: "order-" })) keys.push(item.key);
  assert.deepEqual(keys, ["order-1", "order-2", "order-count"]);
  proves(`keys come in order, page after page: ${keys.join(", ")}`);
}

step("Watch what changes");
{
  await using changes = state.watch<Order>({ prefix: "order-" });
  const seen: string[] = [];
  for await (const change of changes) {
    // First what is there, then `synced`, then every change as it happens.
    if (change.type === "synced") await state.delete("order-2");
    if (change.type === "item") seen.push(`${change.item.key} is there`);
    if (change.type === "deleted") {
      seen.push(`${change.key} was deleted`);
      break;
    }
  }
  assert.equal(seen.at(-1), "order-2 was deleted");
  proves("a watch begins with what is there, and goes on with what happens:");
  for (const line of seen) console.log(`       ${line}`);
}

step("Items that expire");
{
  await state.set("order-draft", { item: "saucer" }, { ttl: "300ms" });
  assert(await state.get("order-draft"));

  await using changes = state.watch({ key: "order-draft" });
  for await (const change of changes) {
    if (change.type !== "deleted") continue;
    assert.equal(change.expired, true);
    break;
  }
  assert.equal(await state.get("order-draft"), undefined);
  proves("after its ttl an item is gone, and a watch tells that it expired");
}

step("Count how often you ran this");
{
  const { value: runs } = await state.update<number>("runs", (count = 0) => count + 1);
  assert(runs >= 1);
  proves(
    runs === 1
      ? "this was the first time; run it again"
      : `this was run ${runs}, and the runtime was a new one each time`,
  );
}

end();
