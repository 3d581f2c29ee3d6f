import { timestampDate } from "@bufbuild/protobuf/wkt";
import { type Client, createClient } from "@connectrpc/connect";
import { type OutboxDeadLetter, StateService } from "@mecha/api/state";
import { type ClientFlags, connect } from "./client-options.js";
import { CliError, exitCodes } from "./errors.js";
import { toCloudEvent } from "./pubsub/event.js";
import { preview } from "./state/value.js";
import pc from "./terminal/colors.js";
import { print, printJson } from "./terminal/print.js";
import { printable } from "./terminal/printable.js";

interface OutboxFlags extends ClientFlags {
  store: string;
  pubsub: string;
  json?: true | undefined;
}

interface SelectionFlags extends OutboxFlags {
  id?: string[] | undefined;
  all?: true | undefined;
}

type StateRpc = Client<typeof StateService>;

/** Lists refused events, oldest first. */
export async function list(flags: OutboxFlags & { limit: number }): Promise<void> {
  await using connection = await connect(flags);
  const state = createClient(StateService, connection.transport);
  const { store, pubsub } = flags;
  let left = flags.limit;
  for (let pageToken = ""; ; ) {
    const page = await state.listOutboxDeadLetters({ store, pubsub, pageSize: Math.min(left, 100), pageToken });
    for (const dead of page.deadLetters) await (flags.json ? printJson(toJson(dead)) : print(format(dead)));
    left -= page.deadLetters.length;
    pageToken = page.nextPageToken;
    if (pageToken === "" || left === 0) return;
  }
}

export const requeue = (flags: SelectionFlags) =>
  settle(flags, "requeued", (state, selection) => state.requeueOutboxDeadLetters({ selection }));

export const drop = (flags: SelectionFlags) =>
  settle(flags, "dropped", (state, selection) => state.dropOutboxDeadLetters({ selection }));

async function settle(
  flags: SelectionFlags,
  done: string,
  call: (
    state: StateRpc,
    selection: { store: string; pubsub: string; deadLetterIds: string[]; all: boolean },
  ) => Promise<{ count: bigint }>,
): Promise<void> {
  if (flags.id === undefined && flags.all === undefined) {
    throw new CliError("which events? Say --id <id>, as list tells it, or --all", exitCodes.usage);
  }
  await using connection = await connect(flags);
  const { store, pubsub, id: deadLetterIds = [], all = false } = flags;
  const { count } = await call(createClient(StateService, connection.transport), { store, pubsub, deadLetterIds, all });
  if (flags.json) await printJson({ count: Number(count) });
  else await print(`${done} ${count}\n`);
}

function toJson({ deadLetterId, entry, error, commitTime, time }: OutboxDeadLetter): Record<string, unknown> {
  const { event, topic, orderingKey = "" } = entry ?? {};
  return {
    deadLetterId,
    topic,
    error,
    ...(commitTime !== undefined && { commitTime: timestampDate(commitTime).toISOString() }),
    ...(time !== undefined && { time: timestampDate(time).toISOString() }),
    ...(event !== undefined && { event: toCloudEvent(event, orderingKey) }),
  };
}

/** A line about it, why it was refused, and its data. */
function format({ deadLetterId, entry, error, time }: OutboxDeadLetter): string {
  const event = entry?.event;
  const when = time === undefined ? "" : timestampDate(time).toISOString();
  const head = `${pc.bold(deadLetterId)}  ${pc.dim(when)}  ${printable(entry?.topic ?? "")}  ${pc.dim(`event ${printable(event?.id ?? "")}`)}`;
  const data = preview({ value: event?.data ?? new Uint8Array(), contentType: event?.dataContentType ?? "" }, 100);
  return `${head}\n  ${pc.red(printable(error))}\n  ${data}\n`;
}
