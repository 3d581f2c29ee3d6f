import type { Duration } from "@bufbuild/protobuf/wkt";
import type { Operation, Precondition } from "@mecha/api/state";
import {
  ComponentError,
  type StateFeature,
  type StateOperation,
  type StatePrecondition,
  stateLimits,
} from "@mecha/component";

const {
  maxKeyBytes,
  maxValueBytes,
  maxContentTypeBytes,
  maxRequestIdBytes,
  maxOperations,
  maxTransactionBytes,
  maxGetManyKeys,
  maxPageSize,
  minTtlMs,
  maxTtlMs,
} = stateLimits;

/** One field that is wrong: its path in proto names, and what would be right. */
export interface Violation {
  readonly field: string;
  readonly description: string;
}

/** Collects what is wrong with a request, so that the caller hears of all of it at once. Nothing is allocated while nothing is. */
export class Violations {
  #found: Violation[] | undefined;

  add(field: string, description: string): void {
    this.#found ??= [];
    this.#found.push({ field, description });
  }

  /** Throws BAD_REQUEST if something was found. */
  throwIfAny(): void {
    if (this.#found !== undefined) throw badRequest(this.#found);
  }
}

/** BAD_REQUEST with its violations, and the same in words. */
export function badRequest(found: readonly Violation[]): ComponentError {
  const message = found.map(({ field, description }) => `${field} ${description}`).join("; ");
  return new ComponentError("BAD_REQUEST", message, { violations: [...found] });
}

/** UTF-8 takes at most 3 bytes per UTF-16 unit: most strings need no counting. */
function isLongerThan(text: string, maxBytes: number): boolean {
  return text.length * 3 > maxBytes && Buffer.byteLength(text) > maxBytes;
}

/** What is wrong with a key; undefined if nothing. */
function keyFault(key: string): string | undefined {
  if (key.length === 0) return `is empty; a key is 1 to ${maxKeyBytes} bytes of UTF-8`;
  if (isLongerThan(key, maxKeyBytes)) {
    return `is ${Buffer.byteLength(key)} bytes long; a key is 1 to ${maxKeyBytes} bytes of UTF-8`;
  }
  return textFault(key);
}

function textFault(text: string): string | undefined {
  if (text.includes("\0")) return "contains U+0000, which a key cannot";
  if (!text.isWellFormed()) return "contains half of a surrogate pair, which UTF-8 cannot express";
  return undefined;
}

/** Requires one key; throws at once, for calls with nothing else to check. */
export function checkKey(field: string, key: string): void {
  const fault = keyFault(key);
  if (fault !== undefined) throw badRequest([{ field, description: fault }]);
}

/** Requires 1 to 1000 keys; the distinct ones, in their order. */
export function checkKeys(field: string, keys: readonly string[]): string[] {
  const violations = new Violations();
  if (keys.length === 0 || keys.length > maxGetManyKeys) {
    violations.add(field, `has ${keys.length} keys; 1 to ${maxGetManyKeys} are allowed`);
  } else {
    for (const [index, key] of keys.entries()) {
      const fault = keyFault(key);
      if (fault !== undefined) violations.add(`${field}[${index}]`, fault);
    }
  }
  violations.throwIfAny();
  return [...new Set(keys)];
}

/** Requires 0 to 512 bytes that a key could begin with. */
export function checkPrefix(field: string, prefix: string): void {
  const fault = prefix === "" ? undefined : keyFault(prefix);
  if (fault !== undefined) throw badRequest([{ field, description: fault.replace("a key is 1", "a prefix is 0") }]);
}

/** Requires 0 to 1000; 0 is the default. */
export function checkPageSize(field: string, pageSize: number): number {
  if (pageSize < 0 || pageSize > maxPageSize) {
    throw badRequest([
      { field, description: `is ${pageSize}; 1 to ${maxPageSize} are allowed, 0 means ${stateLimits.defaultPageSize}` },
    ]);
  }
  return pageSize === 0 ? stateLimits.defaultPageSize : pageSize;
}

/** Requires at most 128 bytes. */
export function checkRequestId(requestId: string, violations: Violations): void {
  if (isLongerThan(requestId, maxRequestIdBytes)) {
    violations.add(
      "request_id",
      `is ${Buffer.byteLength(requestId)} bytes long; at most ${maxRequestIdBytes} are allowed`,
    );
  }
}

/** A SetRequest or SetOperation, whose fields are the same. */
interface SetFields {
  key: string;
  value: Uint8Array;
  contentType: string;
  precondition?: Precondition | undefined;
  ttl?: Duration | undefined;
}

/** The operation that a Set asks for; `path` is where its fields are: "" or "operations[3].set.". */
export function toSet(fields: SetFields, path: string, violations: Violations): StateOperation {
  addKeyFault(fields.key, path, violations);
  if (isLongerThan(fields.contentType, maxContentTypeBytes)) {
    const length = Buffer.byteLength(fields.contentType);
    violations.add(`${path}content_type`, `is ${length} bytes long; at most ${maxContentTypeBytes} are allowed`);
  }
  return {
    type: "set",
    key: fields.key,
    value: fields.value,
    contentType: fields.contentType === "" ? "application/octet-stream" : fields.contentType,
    ttlMs: fields.ttl === undefined ? undefined : toTtlMs(fields.ttl, path, violations),
    precondition: toPrecondition(fields.precondition, path, violations),
  };
}

/** The operation that a Delete asks for. */
export function toDelete(
  fields: { key: string; precondition?: Precondition | undefined },
  path: string,
  violations: Violations,
): StateOperation {
  addKeyFault(fields.key, path, violations);
  const precondition = toPrecondition(fields.precondition, path, violations);
  if (precondition?.type === "absent") {
    violations.add(`${path}precondition.absent`, "makes no sense for a deletion; leave the precondition out");
  }
  return { type: "delete", key: fields.key, precondition };
}

/** The operations of a transaction: 1 to 128, each key once. */
export function toOperations(operations: readonly Operation[], violations: Violations): StateOperation[] {
  if (operations.length === 0 || operations.length > maxOperations) {
    violations.add("operations", `has ${operations.length} operations; 1 to ${maxOperations} are allowed`);
    return [];
  }
  const seen = new Map<string, number>();
  return operations.flatMap(({ operation }, index) => {
    const path = `operations[${index}]`;
    if (operation.case === undefined) {
      violations.add(path, "is none of set, delete and check; exactly one must be set");
      return [];
    }
    const { key } = operation.value;
    const other = seen.get(key);
    if (other === undefined) seen.set(key, index);
    else
      violations.add(
        `${path}.${operation.case}.key`,
        `is already the key of operations[${other}]; a key may stand in one operation only`,
      );
    return toOperation(operation, `${path}.${operation.case}.`, violations);
  });
}

function toOperation(
  operation: Exclude<Operation["operation"], { case: undefined }>,
  path: string,
  violations: Violations,
): StateOperation[] {
  if (operation.case === "set") return [toSet(operation.value, path, violations)];
  if (operation.case === "delete") return [toDelete(operation.value, path, violations)];
  addKeyFault(operation.value.key, path, violations);
  const precondition = toPrecondition(operation.value.precondition, path, violations);
  if (precondition !== undefined) return [{ type: "check", key: operation.value.key, precondition }];
  if (operation.value.precondition === undefined) {
    violations.add(`${path}precondition`, "is missing; a check needs one");
  }
  return [];
}

/** Requires at most 4 MiB a value and 8 MiB of keys and values together. */
export function checkSizes(operations: readonly StateOperation[]): void {
  let total = 0;
  for (const operation of operations) {
    if (operation.type === "set") {
      const bytes = operation.value.byteLength;
      if (bytes > maxValueBytes) throw valueTooLarge(operation.key, bytes);
      total += bytes;
    }
    // A single value cannot reach the limit of a transaction.
    if (operations.length > 1) total += Buffer.byteLength(operation.key);
  }
  if (operations.length > 1 && total > maxTransactionBytes) {
    throw tooLarge("the transaction's keys and values are", maxTransactionBytes, total, {});
  }
}

/** TOO_LARGE for a value over the limit. */
export function valueTooLarge(key: string, actualBytes: number): ComponentError {
  return tooLarge(`the value of "${key}" is`, maxValueBytes, actualBytes, { key });
}

function tooLarge(what: string, limit: number, actual: number, metadata: Record<string, string>): ComponentError {
  return new ComponentError("TOO_LARGE", `${what} ${actual} bytes; the limit is ${limit}`, {
    metadata: { ...metadata, limit_bytes: String(limit), actual_bytes: String(actual) },
  });
}

/** Requires a feature of the component. */
export function requireFeature(features: readonly StateFeature[], feature: StateFeature, component: string): void {
  if (features.includes(feature)) return;
  throw new ComponentError(
    "FEATURE_NOT_SERVED",
    `component "${component}" does not serve feature ${feature} of block "state"`,
    {
      metadata: { component, block: "state", feature },
    },
  );
}

function addKeyFault(key: string, path: string, violations: Violations): void {
  const fault = keyFault(key);
  if (fault !== undefined) violations.add(`${path}key`, fault);
}

function toPrecondition(
  precondition: Precondition | undefined,
  path: string,
  violations: Violations,
): StatePrecondition | undefined {
  if (precondition === undefined) return undefined;
  const { condition } = precondition;
  switch (condition.case) {
    case "etag":
      if (condition.value !== "") return { type: "etag", etag: condition.value };
      violations.add(`${path}precondition.etag`, "is empty; an etag is not, and an absent key has none");
      return undefined;
    case "absent":
    case "exists":
      if (condition.value) return { type: condition.case };
      violations.add(`${path}precondition.${condition.case}`, "is false; set it to true, or set another condition");
      return undefined;
    default:
      violations.add(`${path}precondition`, "is none of etag, absent and exists; exactly one must be set");
      return undefined;
  }
}

/** A duration in whole ms, rounded up: a TTL never ends early. */
function toTtlMs({ seconds, nanos }: Duration, path: string, violations: Violations): number | undefined {
  const ttlMs = Number(seconds) * 1000 + Math.ceil(nanos / 1e6);
  const wellFormed = Math.abs(nanos) < 1e9 && (nanos === 0 || seconds === 0n || nanos > 0 === seconds > 0n);
  if (wellFormed && ttlMs >= minTtlMs && ttlMs <= maxTtlMs) return ttlMs;
  violations.add(
    `${path}ttl`,
    `is ${Number(seconds) + nanos / 1e9} s; 1 ms to 10 years (${maxTtlMs / 1000} s) are allowed`,
  );
  return undefined;
}
