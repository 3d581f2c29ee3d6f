import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { PublishEntrySchema, PublishResult } from "@mecha/api/pubsub";
import { readData } from "../data.js";
import { CliError, describeSystemError, exitCodes } from "../errors.js";
import { print, printJson } from "../terminal/print.js";
import { type PubSubFlags, type PubSubRpc, withPubSub } from "./client.js";

interface PublishFlags extends PubSubFlags {
  type?: string | undefined;
  source?: string | undefined;
  subject?: string | undefined;
  id?: string | undefined;
  contentType?: string | undefined;
  extension: Record<string, string>;
  key?: string | undefined;
  delay?: number | undefined;
  ttl?: number | undefined;
  requestId?: string | undefined;
  many?: string | undefined;
}

/** How much goes in one call of `--many`. */
const maxLines = 100;
const maxBytes = 1024 * 1024;

/** Publishes what the command line says. */
export async function publish(topic: string, argument: string | undefined, flags: PublishFlags): Promise<void> {
  const { many } = flags;
  if (many !== undefined) {
    if (argument !== undefined) {
      throw new CliError("there is data and --many; the lines of the file are the data", exitCodes.usage);
    }
    return withPubSub(flags, (pubsub) => publishLines(pubsub, topic, many, flags));
  }
  const { value, contentType } = await readData(argument, flags.contentType);
  await withPubSub(flags, async (pubsub) => {
    const { eventId, duplicate } = await pubsub.publish({
      pubsub: flags.pubsub,
      entry: toEntry(topic, value, contentType, flags),
      requestId: flags.requestId ?? "",
    });
    if (flags.json) await printJson({ eventId, duplicate });
    else await print(`${eventId}\n`);
  });
}

function toEntry(
  topic: string,
  data: Uint8Array,
  dataContentType: string,
  flags: PublishFlags,
): MessageInitShape<typeof PublishEntrySchema> {
  const { type = "", source = "", subject = "", id = "", extension: extensions, key: orderingKey = "" } = flags;
  return {
    topic,
    event: { id, source, type, subject, data, dataContentType, extensions },
    orderingKey,
    ...(flags.delay !== undefined && { delay: durationFromMs(flags.delay) }),
    ...(flags.ttl !== undefined && { ttl: durationFromMs(flags.ttl) }),
  };
}

/** A line of the file, and its number. */
interface Line {
  readonly number: number;
  readonly data: Buffer;
}

async function publishLines(pubsub: PubSubRpc, topic: string, file: string, flags: PublishFlags): Promise<void> {
  let published = 0;
  for await (const lines of batchesOf(linesOf(file))) {
    const entries = lines.map(({ data }) => toEntry(topic, data, "application/json", flags));
    const { results } = await pubsub.publishMany({ pubsub: flags.pubsub, entries });
    let failed: string | undefined;
    for (const [index, { result }] of results.entries()) {
      if (result.case === "published") published += 1;
      else failed ??= `line ${lines[index]?.number} was not published: ${result.value?.message}`;
      if (flags.json) await printJson(toOutcome(result));
    }
    if (failed !== undefined) throw new CliError(`${failed}; ${published} events were published`);
  }
  if (!flags.json) await print(`published ${published} events\n`);
}

function toOutcome(result: PublishResult["result"]) {
  if (result.case === "published") return { eventId: result.value.eventId, duplicate: result.value.duplicate };
  return { error: { reason: result.value?.reason, message: result.value?.message } };
}

/** The lines that are not blank; one that is no JSON ends it. */
async function* linesOf(file: string): AsyncGenerator<Line> {
  const input = file === "-" ? process.stdin : createReadStream(file);
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
  let failure: CliError | undefined;
  input.once("error", (error: Error) => {
    failure = new CliError(`cannot read ${file}: ${describeSystemError(error)}`);
    lines.close();
  });
  let number = 0;
  for await (const line of lines) {
    number++;
    if (line.trim() === "") continue;
    try {
      JSON.parse(line);
    } catch (error) {
      throw new CliError(`line ${number} is no JSON: ${error instanceof Error ? error.message : error}`);
    }
    yield { number, data: Buffer.from(line) };
  }
  if (failure !== undefined) throw failure;
}

/** Lines that go together: what there is, up to a size. */
async function* batchesOf(lines: AsyncIterable<Line>): AsyncGenerator<Line[]> {
  let batch: Line[] = [];
  let bytes = 0;
  for await (const line of lines) {
    if (batch.length === maxLines || (batch.length > 0 && bytes + line.data.byteLength > maxBytes)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(line);
    bytes += line.data.byteLength;
  }
  if (batch.length > 0) yield batch;
}
