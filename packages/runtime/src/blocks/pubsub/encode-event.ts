import { type DescField, ScalarType } from "@bufbuild/protobuf";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { type Event, EventSchema } from "@mecha/api/pubsub";

// toBinary makes a writer for each message, whose buffer doubles until all fits: for an event of 1 KiB that cost more than all else that a publish
// does in the runtime. Here one writer is kept, and events share what it gives.

const kept = new BinaryWriter();

/** About as many bytes of events share a buffer: whoever keeps one of them keeps as much. */
const sharedBytes = 64 * 1024;

/** An event as components store it. */
export function encodeEvent(event: Event): Uint8Array {
  return finish(() => writeEvent(event));
}

/** Events as components store them. */
export function encodeEvents(events: readonly Event[]): Uint8Array[] {
  const payloads: Uint8Array[] = [];
  for (let from = 0; from < events.length; ) {
    let to = from;
    for (let size = 0; to < events.length; to++) {
      size += events[to]?.data.length ?? 0;
      if (size > sharedBytes && to > from) break;
    }
    const together = events.slice(from, to);
    const reader = new BinaryReader(finish(() => together.forEach(writeDelimited)));
    for (const _ of together) payloads.push(reader.bytes());
    from = to;
  }
  return payloads;
}

/** What was written; leaves nothing behind in the writer, whatever happens. */
function finish(write: () => void): Uint8Array {
  try {
    write();
  } catch (error) {
    kept.finish();
    throw error;
  }
  return kept.finish();
}

function writeDelimited(event: Event): void {
  kept.fork();
  writeEvent(event);
  kept.join();
}

function writeEvent(event: Event): void {
  for (const write of fieldWriters) write(event);
  for (const { no, wireType, data } of event.$unknown ?? []) kept.tag(no, wireType).raw(data);
}

/** By the contract; a field of a kind that is not known here fails when this module is loaded. */
const fieldWriters = EventSchema.fields.map(writerOf);

function writerOf(field: DescField): (event: Event) => void {
  const { number } = field;
  // Which fields are of which kind is known, but not to the compiler.
  const read = <Value>(event: Event): Value => event[field.localName as keyof Event] as Value;
  if (field.fieldKind === "scalar" && field.scalar === ScalarType.STRING) {
    return (event) => {
      const text = read<string>(event);
      if (text !== "") kept.tag(number, WireType.LengthDelimited).string(text);
    };
  }
  if (field.fieldKind === "scalar" && field.scalar === ScalarType.BYTES) {
    return (event) => {
      const bytes = read<Uint8Array>(event);
      if (bytes.length > 0) kept.tag(number, WireType.LengthDelimited).bytes(bytes);
    };
  }
  if (field.fieldKind === "message" && field.message.typeName === TimestampSchema.typeName) {
    return (event) => {
      const time = read<Timestamp | undefined>(event);
      if (time !== undefined) writeTime(number, time);
    };
  }
  if (field.fieldKind === "map" && field.mapKey === ScalarType.STRING && field.scalar === ScalarType.STRING) {
    return (event) => {
      for (const [key, text] of Object.entries(read<Record<string, string>>(event))) writePair(number, key, text);
    };
  }
  throw new Error(`${field.parent.typeName}.${field.name} is of a kind that events are not known to have`);
}

function writeTime(number: number, { seconds, nanos }: Timestamp): void {
  const { seconds: secondsField, nanos: nanosField } = TimestampSchema.field;
  kept.tag(number, WireType.LengthDelimited).fork();
  if (seconds !== 0n) kept.tag(secondsField.number, WireType.Varint).int64(seconds);
  if (nanos !== 0) kept.tag(nanosField.number, WireType.Varint).int32(nanos);
  kept.join();
}

/** A map's entry is a message of its key, 1, and its value, 2 (https://protobuf.dev/programming-guides/encoding/#maps). */
function writePair(number: number, key: string, value: string): void {
  kept.tag(number, WireType.LengthDelimited).fork();
  kept.tag(1, WireType.LengthDelimited).string(key);
  kept.tag(2, WireType.LengthDelimited).string(value);
  kept.join();
}
