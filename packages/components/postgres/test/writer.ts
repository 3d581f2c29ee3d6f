// A process that writes until it is killed, and prints what was acknowledged: `node test/writer.ts <url> <callers>`.
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
  for (let number = 1; ; number++) {
    const write = (...keys: string[]) =>
      state?.write({
        keyspace: "default/crash",
        operations: keys.map((key) => setOf(`${process.pid}-${caller}-${key}`, number)),
        requestId: undefined,
      });
    await write("alone");
    process.stdout.write(`${process.pid}-${caller}-alone ${number}\n`);
    await write("left", "right");
    process.stdout.write(`${process.pid}-${caller}-left ${number}\n`);
  }
}

await Promise.all(Array.from({ length: Number(callers) }, (_, caller) => work(caller)));
