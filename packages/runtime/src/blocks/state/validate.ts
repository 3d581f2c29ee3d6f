import type { Duration } from "@bufbuild/protobuf/wkt";
import type { Operation, Precondition } from "@mecha/api/state";
import { ComponentError, type StateOperation, type StatePrecondition, stateLimits } from "@mecha/component";
import { toMs } from "../time.js";
import { badRequest, checkBytes, isLongerThan, Violations } from "../validation.js";
import type { AskedPublish } from "./publishes.js";

const {
  maxKeyBytes,
  maxValueBytes,
  maxContentTypeBytes,
  maxRequestIdBytes,
  maxOperations,
  maxTransactionBytes,
  maxGetManyKeys,
  minTtlMs,
  maxTtlMs,
} = stateLimits;

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

/** Requires at most 128 bytes. */
export function checkRequestId(requestId: string, violations: Violations): void {
  checkBytes("request_id", requestId, maxRequestIdBytes, violations);
  addNulFault("request_id", requestId, violations);
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
  checkBytes(`${path}content_type`, fields.contentType, maxContentTypeBytes, violations);
  addNulFault(`${path}content_type`, fields.contentType, violations);
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

/** What a transaction asks for. */
export interface AskedTransaction {
  readonly operations: readonly StateOperation[];
  /** The place of each operation in the request. */
  readonly indexes: readonly number[];
  readonly publishes: readonly AskedPublish[];
}

/** The operations of a transaction: 1 to 128, each key once. */
export function readTransaction(asked: readonly Operation[], violations: Violations): AskedTransaction {
  const operations: StateOperation[] = [];
  const indexes: number[] = [];
  const publishes: AskedPublish[] = [];
  if (asked.length === 0 || asked.length > maxOperations) {
    violations.add("operations", `has ${asked.length} operations; 1 to ${maxOperations} are allowed`);
  } else {
    const toKeyed = createKeyedReader(violations);
    for (const [index, { operation }] of asked.entries()) {
      if (operation.case === "publish") publishes.push({ index, operation: operation.value });
      else {
        const keyed = toKeyed(operation, index);
        operations.push(...keyed);
        indexes.push(...keyed.map(() => index));
      }
    }
  }
  return { operations, indexes, publishes };
}

/** Reads operations on keys, each of which may stand in one only. */
function createKeyedReader(violations: Violations) {
  const seen = new Map<string, number>();
  return (operation: Exclude<Operation["operation"], { case: "publish" }>, index: number): StateOperation[] => {
    const path = `operations[${index}]`;
    if (operation.case === undefined) {
      violations.add(path, "is none of set, delete, check and publish; exactly one must be set");
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
  };
}

function toOperation(
  operation: Exclude<Operation["operation"], { case: undefined | "publish" }>,
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

/** Requires at most 4 MiB a value and 8 MiB of keys, values and events together. */
export function checkSizes(operations: readonly StateOperation[], eventBytes = 0): void {
  let total = eventBytes;
  for (const operation of operations) {
    if (operation.type === "set") {
      const bytes = operation.value.byteLength;
      if (bytes > maxValueBytes) throw valueTooLarge(operation.key, bytes);
      total += bytes;
    }
    // A single value cannot reach the limit of a transaction.
    if (operations.length > 1) total += Buffer.byteLength(operation.key);
  }
  if (total > maxTransactionBytes) {
    throw tooLarge("the transaction's keys, values and events are", maxTransactionBytes, total, {});
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

/** PostgreSQL stores no U+0000 in text: what one store refuses, all do. */
function addNulFault(field: string, text: string, violations: Violations): void {
  if (text.includes("\0")) violations.add(field, "contains U+0000, which it cannot");
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

/** A TTL in whole ms. */
function toTtlMs(ttl: Duration, path: string, violations: Violations): number | undefined {
  const ttlMs = toMs(ttl);
  if (ttlMs !== undefined && ttlMs >= minTtlMs && ttlMs <= maxTtlMs) return ttlMs;
  violations.add(
    `${path}ttl`,
    `is ${Number(ttl.seconds) + ttl.nanos / 1e9} s; 1 ms to 10 years (${maxTtlMs / 1000} s) are allowed`,
  );
  return undefined;
}
