import { createClient } from "@connectrpc/connect";
import { BindingService } from "@mecha/api/binding";
import { type ClientFlags, connect } from "./client-options.js";
import { readData } from "./data.js";
import { toJsonFields } from "./state/value.js";
import { print, printJson } from "./terminal/print.js";

interface InvokeFlags extends ClientFlags {
  metadata: Record<string, string>;
  contentType?: string | undefined;
  json?: true | undefined;
}

/** Does one operation of a binding and prints what came of it. */
export async function invokeBinding(
  binding: string,
  operation: string,
  argument: string | undefined,
  flags: InvokeFlags,
): Promise<void> {
  const { value: data, contentType } = await readData(argument, flags.contentType);
  await using connection = await connect(flags);
  // The contract itself, not @mecha/binding: this command shows bytes and media types as they are.
  const rpc = createClient(BindingService, connection.transport);
  const answer = await rpc.invoke({ binding, operation, data, contentType, metadata: flags.metadata });
  const isEmpty = answer.data.byteLength === 0 && answer.contentType === "";
  if (flags.json) {
    const fields = isEmpty ? {} : toJsonFields({ value: answer.data, contentType: answer.contentType });
    await printJson({ ...fields, contentType: answer.contentType, metadata: answer.metadata });
    return;
  }
  await print(answer.data);
  // A prompt must not follow the data on its line; a file gets the bytes as they are.
  if (process.stdout.isTTY && !isEmpty && answer.data.at(-1) !== 10) await print("\n");
}
