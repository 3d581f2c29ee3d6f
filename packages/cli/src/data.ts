import { readValue, type Value } from "./state/value.js";

/** The data that an argument means: itself, "-" standard input, "@path" a file; none is no data. */
export async function readData(argument: string | undefined, contentType: string | undefined): Promise<Value> {
  if (argument === undefined) return { value: new Uint8Array(), contentType: contentType ?? "" };
  if (argument === "-") return readValue(undefined, "-", contentType);
  return argument.startsWith("@")
    ? readValue(undefined, argument.slice(1), contentType)
    : readValue(argument, undefined, contentType);
}
