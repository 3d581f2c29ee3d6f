import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { residentMemoryMiB } from "@mecha/e2e/memory";

/** Sends so many bytes through and back; the most memory that each process held meanwhile, in MiB more than before. */
export async function sendBig(
  url: string,
  bytes: number,
  pids: readonly number[],
): Promise<{ seconds: number; growthMiB: number }> {
  const before = pids.map(residentMemoryMiB);
  let growthMiB = 0;
  let done = false;
  const watching = (async () => {
    while (!done) {
      const now = pids.map(residentMemoryMiB);
      growthMiB = Math.max(growthMiB, ...now.map((value, index) => value - (before[index] ?? 0)));
      await delay(50);
    }
  })();
  const begin = performance.now();
  const outgoing = httpRequest(url, { method: "POST", headers: { "content-length": bytes } });
  const answered = once(outgoing, "response") as Promise<[IncomingMessage]>;
  const chunk = Buffer.alloc(64 * 1024, "x");
  const sending = (async () => {
    for (let sent = 0; sent < bytes; sent += chunk.length) {
      if (!outgoing.write(chunk)) await once(outgoing, "drain");
    }
    outgoing.end();
  })();
  let received = 0;
  const [response] = await answered;
  for await (const piece of response as AsyncIterable<Buffer>) received += piece.length;
  await sending;
  done = true;
  await watching;
  if (received !== bytes) throw new Error(`${received} of ${bytes} bytes came back`);
  return { seconds: (performance.now() - begin) / 1000, growthMiB };
}
