import { isUtf8 } from "node:buffer";
import { readFile } from "node:fs/promises";
import { buffer } from "node:stream/consumers";
import { CliError, describeSystemError, exitCodes } from "../errors.js";

/** A value to store. */
export interface Value {
  value: Uint8Array;
  contentType: string;
}

/** The value that a command line means: its argument, a file, or standard input. */
export async function readValue(
  argument: string | undefined,
  file: string | undefined,
  contentType: string | undefined,
): Promise<Value> {
  if (argument !== undefined && file !== undefined) {
    throw new CliError("there are two values: an argument and --file; leave one out", exitCodes.usage);
  }
  const value = argument === undefined ? await readBytes(file) : Buffer.from(argument);
  return { value, contentType: contentType ?? guessContentType(value) };
}

async function readBytes(file: string | undefined): Promise<Buffer> {
  if (file === "-" || (file === undefined && !process.stdin.isTTY)) return await buffer(process.stdin);
  if (file === undefined) {
    throw new CliError(
      "which value? Give it as an argument, with --file <path>, or on standard input",
      exitCodes.usage,
    );
  }
  return await readFile(file).catch((error: unknown) => {
    throw new CliError(`cannot read the value from ${file}: ${describeSystemError(error)}`);
  });
}

/** What a person who writes no media type means: JSON if it is JSON, else text, else bytes. */
function guessContentType(value: Buffer): string {
  if (!isUtf8(value)) return "application/octet-stream";
  try {
    JSON.parse(value.toString());
    return "application/json";
  } catch {
    return "text/plain; charset=utf-8";
  }
}

/** Whether a media type promises JSON, or text. */
const isJson = (contentType: string) => /^application\/(.*\+)?json\b/.test(contentType);
const isText = (contentType: string) => contentType.startsWith("text/");

/** A value as it stands in `--json` output: `value` where it is JSON or text, else `valueBase64`. */
export function toJsonFields({ value, contentType }: Value): { value: unknown } | { valueBase64: string } {
  const bytes = Buffer.from(value);
  if (isUtf8(bytes)) {
    if (isText(contentType)) return { value: bytes.toString() };
    try {
      if (isJson(contentType)) return { value: JSON.parse(bytes.toString()) as unknown };
    } catch {
      // It is stored as JSON and is none: its bytes are shown as they are.
    }
  }
  return { valueBase64: bytes.toString("base64") };
}

/** A value on one line for a person, cut to `maxLength` characters. */
export function preview({ value, contentType }: Value, maxLength: number): string {
  const bytes = Buffer.from(value);
  if (bytes.length === 0) return "(empty)";
  if (!isUtf8(bytes) || !(isJson(contentType) || isText(contentType))) return `(${bytes.length} bytes)`;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what a terminal would obey is what must not reach it.
  const line = bytes.toString("utf8", 0, maxLength * 4).replace(/[\u0000-\u001f\u007f-\u009f]+/g, " ");
  return line.length > maxLength ? `${line.slice(0, maxLength - 1)}…` : line;
}
