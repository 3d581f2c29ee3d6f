import { ComponentError, z } from "@mecha/component";
import type { Argument } from "../command.js";

const maxArguments = 10_000;

const argument = z.union([z.string(), z.number(), z.strictObject({ base64: z.base64() })]);
const command = z.tuple([z.string()], argument);

/** Reads a command out of the data of a call. */
export function toCommand(data: Uint8Array): [string, ...Argument[]] {
  const given = parse(data);
  if (Array.isArray(given) && given.length > maxArguments) throw badCommand(`has more than ${maxArguments} arguments`);
  const parsed = command.safeParse(given);
  if (!parsed.success) {
    throw badCommand(
      'must be a JSON array: the command\'s name and its arguments, each a string, a number, or {"base64": "…"} for bytes',
    );
  }
  const [name, ...rest] = parsed.data;
  return [name.toUpperCase(), ...rest.map(toArgument)];
}

export function badCommand(description: string): ComponentError {
  return new ComponentError("BAD_REQUEST", `data ${description}`, { violations: [{ field: "data", description }] });
}

function parse(data: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString());
  } catch {
    return undefined;
  }
}

function toArgument(given: z.output<typeof argument>): Argument {
  if (typeof given === "object") return Buffer.from(given.base64, "base64");
  return String(given);
}

/** A reply as JSON has it: what numbers do not hold is text. */
export function toJson(reply: unknown, encoding: "utf8" | "base64"): unknown {
  if (Buffer.isBuffer(reply)) return reply.toString(encoding);
  if (Array.isArray(reply)) return reply.map((each) => toJson(each, encoding));
  if (typeof reply === "object" && reply !== null) {
    return Object.fromEntries(
      Object.entries(reply).map(([name, value]) => [
        encoding === "base64" ? Buffer.from(name).toString(encoding) : name,
        toJson(value, encoding),
      ]),
    );
  }
  const isExact =
    typeof reply !== "number" || (Number.isFinite(reply) && (!Number.isInteger(reply) || Number.isSafeInteger(reply)));
  return isExact && typeof reply !== "bigint" ? (reply ?? null) : String(reply);
}
