import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { DeadLetter } from "@mecha/api/pubsub";
import { CliError, exitCodes } from "../errors.js";
import { preview } from "../state/value.js";
import pc from "../terminal/colors.js";
import { print, printJson } from "../terminal/print.js";
import { printable } from "../terminal/printable.js";
import { type PubSubFlags, type PubSubRpc, withPubSub } from "./client.js";
import { toCloudEvent } from "./event.js";

interface GroupFlags extends PubSubFlags {
  group: string;
}

interface SelectionFlags extends GroupFlags {
  id?: string[] | undefined;
  all?: true | undefined;
}

/** Lists dead letters, oldest first. */
export async function list(topic: string, flags: GroupFlags & { limit: number }): Promise<void> {
  await withPubSub(flags, async (pubsub) => {
    const { group } = flags;
    let left = flags.limit;
    for (let pageToken = ""; ; ) {
      const page = await pubsub.listDeadLetters({
        pubsub: flags.pubsub,
        topic,
        group,
        pageSize: Math.min(left, 100),
        pageToken,
      });
      for (const dead of page.deadLetters) await (flags.json ? printJson(toJson(dead)) : print(format(dead)));
      left -= page.deadLetters.length;
      pageToken = page.nextPageToken;
      if (pageToken === "" || left === 0) return;
    }
  });
}

export const requeue = (topic: string, flags: SelectionFlags) =>
  settle(topic, flags, "requeued", (pubsub, request) => pubsub.requeueDeadLetters(request));

export const drop = (topic: string, flags: SelectionFlags) =>
  settle(topic, flags, "dropped", (pubsub, request) => pubsub.dropDeadLetters(request));

async function settle(
  topic: string,
  flags: SelectionFlags,
  done: string,
  call: (
    pubsub: PubSubRpc,
    request: { selection: { pubsub: string; topic: string; group: string; deadLetterIds: string[]; all: boolean } },
  ) => Promise<{ count: bigint }>,
): Promise<void> {
  if (flags.id === undefined && flags.all === undefined) {
    throw new CliError("which dead letters? Say --id <id>, as list tells it, or --all", exitCodes.usage);
  }
  await withPubSub(flags, async (pubsub) => {
    const { group, id: deadLetterIds = [], all = false } = flags;
    const { count } = await call(pubsub, { selection: { pubsub: flags.pubsub, topic, group, deadLetterIds, all } });
    if (flags.json) await printJson({ count: Number(count) });
    else await print(`${done} ${count}\n`);
  });
}

function toJson(dead: DeadLetter): Record<string, unknown> {
  const { deadLetterId, topic, attempts, lastError, time, event, orderingKey } = dead;
  return {
    deadLetterId,
    topic,
    attempts,
    lastError,
    ...(time !== undefined && { time: timestampDate(time).toISOString() }),
    ...(event !== undefined && { event: toCloudEvent(event, orderingKey) }),
  };
}

/** A line about it, why it was given up, and its data. */
function format({ deadLetterId, attempts, lastError, time, event }: DeadLetter): string {
  const when = time === undefined ? "" : timestampDate(time).toISOString();
  const tried = attempts === 1 ? "1 attempt" : `${attempts} attempts`;
  const head = `${pc.bold(deadLetterId)}  ${pc.dim(when)}  ${printable(event?.type ?? "")}  ${pc.dim(`${tried}, event ${printable(event?.id ?? "")}`)}`;
  const why = `  ${pc.red(printable(lastError || "the app never said anything"))}`;
  const data = preview({ value: event?.data ?? new Uint8Array(), contentType: event?.dataContentType ?? "" }, 100);
  return `${head}\n${why}\n  ${data}\n`;
}
