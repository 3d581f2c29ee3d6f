// The conformance runner talks to programs in size-prefixed messages over stdin and stdout.
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";

/** Reads messages until the end of stdin. */
export async function* readMessages<Desc extends DescMessage>(schema: Desc): AsyncGenerator<MessageShape<Desc>> {
  let pending = Buffer.alloc(0);
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= 4 && pending.length >= 4 + pending.readUInt32BE(0)) {
      const end = 4 + pending.readUInt32BE(0);
      yield fromBinary(schema, pending.subarray(4, end));
      pending = pending.subarray(end);
    }
  }
}

/** Writes one message to stdout. */
export function writeMessage<Desc extends DescMessage>(schema: Desc, message: MessageInitShape<Desc>): void {
  const bytes = toBinary(schema, create(schema, message));
  const size = Buffer.alloc(4);
  size.writeUInt32BE(bytes.length);
  process.stdout.write(Buffer.concat([size, bytes]));
}
