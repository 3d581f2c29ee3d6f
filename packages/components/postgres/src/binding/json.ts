import { ComponentError } from "@mecha/component";
import pg from "pg";

/** The ids of PostgreSQL's types whose JSON is not what node-postgres makes of them. */
const oids = {
  bool: 16,
  bytea: 17,
  int8: 20,
  int2: 21,
  int4: 23,
  oid: 26,
  json: 114,
  float4: 700,
  float8: 701,
} as const;
const times = { timestamp: 1114, timestamptz: 1184 } as const;
const jsonb = 3802;

const toNumber = (text: string): unknown => {
  const number = Number(text);
  return Number.isFinite(number) ? number : text;
};

/** As it is where JavaScript's numbers hold it, else as text: never another number. */
const toInteger = (text: string): unknown => (Number.isSafeInteger(Number(text)) ? Number(text) : text);

const parsers = new Map<number, (text: string) => unknown>([
  [oids.bool, (text) => text === "t"],
  [oids.bytea, (text) => Buffer.from(text.slice(2), "hex").toString("base64")],
  [oids.int8, toInteger],
  [oids.int2, toNumber],
  [oids.int4, toNumber],
  [oids.oid, toNumber],
  [oids.float4, toNumber],
  [oids.float8, toNumber],
  [oids.json, (text) => JSON.parse(text)],
  [jsonb, (text) => JSON.parse(text)],
  [times.timestamp, toIsoTime],
  [times.timestamptz, toIsoTime],
]);

/** Arrays of what JSON has as well; others are PostgreSQL's text. */
const arrays = new Map([
  [1000, oids.bool],
  [1005, oids.int2],
  [1007, oids.int4],
  [1016, oids.int8],
  [1021, oids.float4],
  [1022, oids.float8],
  [1009, undefined],
  [1015, undefined],
  [2951, undefined],
]);

/** `2026-11-21 03:00:00.5+00` as RFC 3339 has it; "infinity" stays. */
function toIsoTime(text: string): string {
  return text.replace(/^(\d+-\d\d-\d\d) (\S+?)([+-]\d\d)?(:\d\d)?$/, (_, date, time, hours, minutes) => {
    const zone =
      hours === undefined ? "" : hours === "+00" && minutes === undefined ? "Z" : `${hours}${minutes ?? ":00"}`;
    return `${date}T${time}${zone}`;
  });
}

/** Reads an array of any type, its elements as text. */
const parseArray: (text: string) => unknown[] = pg.types.getTypeParser(
  1009 as Parameters<typeof pg.types.getTypeParser>[0],
);

/** How node-postgres reads what comes: numbers, booleans, JSON and arrays of these as JSON has them, bytes as base64, all else as PostgreSQL's text. */
export const jsonTypes = {
  getTypeParser(oid: number): (text: string) => unknown {
    const parse = parsers.get(oid);
    if (parse !== undefined) return parse;
    if (!arrays.has(oid)) return (text) => text;
    const element = arrays.get(oid);
    const parseElement = element === undefined ? undefined : parsers.get(element);
    return (text) => mapNested(parseArray(text), parseElement);
  },
};

function mapNested(elements: unknown[], parse: ((text: string) => unknown) | undefined): unknown[] {
  return elements.map((element) => {
    if (Array.isArray(element)) return mapNested(element, parse);
    return typeof element === "string" && parse !== undefined ? parse(element) : element;
  });
}

/** A statement's values, from a JSON array: objects and arrays go as JSON, all else as PostgreSQL reads its text. */
export function toValues(data: Uint8Array): (string | null)[] {
  if (data.byteLength === 0) return [];
  let values: unknown;
  try {
    values = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(data));
  } catch {
    throw badValues("is not JSON");
  }
  if (!Array.isArray(values)) throw badValues("is no JSON array");
  return values.map((value) => {
    if (value === null) return null;
    return typeof value === "string" ? value : JSON.stringify(value);
  });
}

function badValues(what: string): ComponentError {
  const description = `${what}; give the statement's values as one, such as [7, "paid", null]`;
  return new ComponentError("BAD_REQUEST", `data ${description}`, { violations: [{ field: "data", description }] });
}
