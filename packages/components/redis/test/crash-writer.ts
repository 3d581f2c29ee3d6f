// Writes transactions until it is killed, and says which were acknowledged: run by crash.test.ts, as `node crash-writer.ts <url> <name>`.

import { startComponent } from "@mecha/component/conformance";
import { redis } from "@mecha/component-redis";

const [url, name] = process.argv.slice(2);
const { blocks } = await startComponent(redis, { url });
const { state } = blocks;
if (state === undefined) throw new Error("the component serves no state");
const caller = async (index: number) => {
  for (let round = 0; ; round++) {
    const value = Buffer.from(String(round));
    const operations = ["a", "b", "c"].map((part) => {
      const key = `${name}-${index}-${part}`;
      return { type: "set", key, value, contentType: "", ttlMs: undefined, precondition: undefined } as const;
    });
    await state.write({ keyspace: "test/crash", operations, requestId: undefined });
    process.stdout.write(`${name}-${index} ${round}\n`);
  }
};
await Promise.all(Array.from({ length: 16 }, (_, index) => caller(index)));
