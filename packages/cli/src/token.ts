import { readFile } from "node:fs/promises";
import { CliError, describeSystemError } from "./errors.js";

/** The token that stands in a file; white space around it does not count. */
export async function readToken(path: string): Promise<string> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw new CliError(`cannot read the token from ${path}: ${describeSystemError(error)}`);
  });
  const token = text.trim();
  if (token === "") throw new CliError(`cannot read the token from ${path}: the file is empty`);
  return token;
}
