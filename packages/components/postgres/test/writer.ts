// A process that writes until it is killed, and prints what was acknowledged: `node test/writer.ts <url> <callers>`.
import type { StateOperation } from "@mecha/component";
import { startComponent } from "@mecha/component/conformance";
import { postgres } from "@mecha/component-postgres";

const [url, callers] = process.argv.slice(2);
const component = await startComponent(postgres, { url });
const { state } = component.blocks;

const setOf = (key: string, number: number) =>
  ({
    type: "set",
    key,
    value: Buffer.from(String(number)),
    contentType: "text/plain",
    ttlMs: undefined,
    precondition: undefined,
  }) as const;

/** Every caller writes its own keys with ever larger numbers: one alone, and two that must always be the same. */
async function work(caller: number): Promise<void> {
  const name = `${process.pid}-${caller}`;
  const guard = { type: "check", key: `${name}-never`, precondition: { type: "absent" } } as const;
  const write = (...operations: StateOperation[]) =>
    state?.write({ keyspace: "default/crash", operations, requestId: undefined });
  for (let number = 1; ; number++) {
    await write(setOf(`${name}-alone`, number));
    process.stdout.write(`${name}-alone ${number}\n`);
    await write(setOf(`${name}-left`, number), guard, setOf(`${name}-right`, number));
    process.stdout.write(`${name}-left ${number}\n`);
  }
}

await Promise.all(Array.from({ length: Number(callers) }, (_, caller) => work(caller)));
