// Three apps, each beside a runtime of its own, and what happens between them when all goes well and when it does not.
//
//   node src/story/orders.ts [resource files that say where state and events are kept …]
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Order } from "../apps/events.ts";
import { App, type Surroundings } from "./apps.ts";
import { Mailbox } from "./mailbox.ts";
import { begin, end, proves, step, until } from "./narrator.ts";

const backends = process.argv.slice(2);

begin(`Mecha orders, on ${backends.length === 0 ? "the embedded default" : backends.join(", ")}`);
await using cleanUp = new AsyncDisposableStack();
const mailbox = cleanUp.use(new Mailbox());
const dataDir = await mkdtemp(join(tmpdir(), "mecha-orders-"));
cleanUp.defer(() => rm(dataDir, { recursive: true, force: true }));
const surroundings: Surroundings = {
  resources: ["resources/mail.yaml", ...backends],
  dataDir,
  env: { SMTP_PORT: String(await mailbox.listen()) },
};
const start = async (id: string) => cleanUp.use(await App.start(id, surroundings));
const [payment, , intake] = [await start("payment"), await start("mail"), await start("intake")];

async function place(id: string, currency = "euro"): Promise<void> {
  const order = { id, customer: "ada", email: "ada@example.com", item: `teapot ${id}`, price: 12.5, currency };
  const { status } = await fetch(`${intake.url}/orders`, { method: "POST", body: JSON.stringify(order) });
  assert.equal(status, 202);
}

async function statusOf(id: string): Promise<Order["status"] | undefined> {
  const answer = await fetch(`${intake.url}/orders/${id}`);
  return answer.ok ? ((await answer.json()) as Order).status : undefined;
}

const isPaid = (id: string) => until(`order ${id} is paid`, async () => (await statusOf(id)) === "paid");
const isMailed = (id: string) =>
  until(`the mail about order ${id} arrives`, () =>
    [...mailbox.mails.values()].some(({ subject }) => subject === `Your teapot ${id} is paid`),
  );

await step("An order goes through: intake, payment, mail", async () => {
  await place("1");
  await isPaid("1");
  await isMailed("1");
  proves("one HTTP call, and the customer has a mail; no app knows where the others are");
});

await step("The order and its event are one transaction", async () => {
  await place("1");
  await place("2");
  await isMailed("2");
  assert.equal(mailbox.mails.size, 2);
  proves("a second click on order 1 is refused, and no second event left: two orders, two mails");
});

await step("What cannot be handled waits for somebody, and nobody waits for it", async () => {
  await place("3", "ducats");
  await place("4");
  await isPaid("4");
  await until("order 3 is a dead letter", async () => {
    const answer = await fetch(`${payment.url}/dead-letters`);
    const deadLetters = (await answer.json()) as { order: string; lastError: string }[];
    return deadLetters.length === 1 && deadLetters[0]?.lastError === 'no exchange rate for "ducats"';
  });
  assert.equal(await statusOf("3"), "placed");
  proves('order 3 is a dead letter, with the reason: no exchange rate for "ducats"; order 4 went past it');
});

await step("It is repaired and delivered again", async () => {
  await fetch(`${payment.url}/rates/ducats`, { method: "PUT", body: "350" });
  const answer = await fetch(`${payment.url}/dead-letters/requeue`, { method: "POST" });
  assert.deepEqual(await answer.json(), { requeued: 1 });
  await isPaid("3");
  await isMailed("3");
  proves("the rate is there now, the dead letter was requeued, and order 3 is paid and mailed");
});

await step("The payment app is killed while orders come in", async () => {
  await payment.crash();
  const late = ["5", "6", "7"];
  for (const id of late) await place(id);
  proves("intake takes orders as if nothing had happened");
  await payment.start();
  for (const id of late) {
    await isPaid(id);
    await isMailed(id);
  }
  proves("back again, it pays every one of them");
});

assert.equal(mailbox.mails.size, 7);
end();
