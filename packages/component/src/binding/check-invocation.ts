import { durationMs } from "../duration.js";
import { ComponentError } from "../errors.js";
import { bindingLimits } from "./features.js";
import type { Binding, BindingData, Operation, Parameter } from "./interface.js";

/** What a caller asks for, before anything is known about it. */
export interface Invocation extends BindingData {
  readonly operation: string;
}

type Violation = { readonly field: string; readonly description: string };

/**
 * Requires a call to be what the binding describes: an operation that it has, every parameter that it needs, none that it does not know, each of
 * its type, and no more data than it takes. Throws BAD_REQUEST, which names what there is, or TOO_LARGE. `name` is the component's.
 */
export function checkInvocation(
  binding: Pick<Binding, "operations" | "maxDataBytes">,
  call: Invocation,
  name: string,
): void {
  const operation = binding.operations.find((known) => known.name === call.operation);
  if (operation === undefined) throw badRequest([unknownOperation(call.operation, binding.operations, name)]);
  const violations = [...checkData(operation, call), ...checkParameters(operation, call.metadata)];
  if (violations.length > 0) throw badRequest(violations);
  const actual = call.data.byteLength;
  if (actual <= binding.maxDataBytes) return;
  const message = `data is ${actual} bytes; binding "${name}" takes at most ${binding.maxDataBytes}`;
  const metadata = { limit_bytes: String(binding.maxDataBytes), actual_bytes: String(actual) };
  throw new ComponentError("TOO_LARGE", message, { metadata });
}

function unknownOperation(operation: string, known: readonly Operation[], name: string): Violation {
  const what =
    operation === "" ? "is missing" : `is "${operation.slice(0, 100)}", which binding "${name}" does not have`;
  return { field: "operation", description: `${what}; it has: ${list(known.map((one) => one.name))}` };
}

function checkData({ name, input }: Operation, { data, contentType }: Invocation): Violation[] {
  const { maxContentTypeBytes } = bindingLimits;
  if (Buffer.byteLength(contentType) > maxContentTypeBytes) {
    return [{ field: "content_type", description: `is longer than ${maxContentTypeBytes} bytes` }];
  }
  if (input !== undefined || data.byteLength === 0) return [];
  return [{ field: "data", description: `is not taken by operation "${name}"; leave it out` }];
}

function checkParameters({ name, parameters }: Operation, metadata: Readonly<Record<string, string>>): Violation[] {
  const { maxMetadataEntries, maxMetadataValueBytes } = bindingLimits;
  const entries = Object.entries(metadata);
  const violations: Violation[] = [];
  if (entries.length > maxMetadataEntries) {
    violations.push({
      field: "metadata",
      description: `has ${entries.length} entries; at most ${maxMetadataEntries} are allowed`,
    });
  }
  for (const [key, value] of entries) {
    const field = `metadata["${key.slice(0, 100)}"]`;
    const parameter = parameters.find((one) => matches(one, key));
    if (parameter === undefined) {
      const known = list(parameters.map((one) => one.name));
      violations.push({ field, description: `is no parameter of operation "${name}"; it takes: ${known}` });
    } else if (Buffer.byteLength(value) > maxMetadataValueBytes) {
      violations.push({ field, description: `is longer than ${maxMetadataValueBytes} bytes` });
    } else if (!isOfType(value, parameter.type)) {
      violations.push({ field, description: `is "${value.slice(0, 100)}"; it must be ${typeNames[parameter.type]}` });
    }
  }
  for (const parameter of parameters) {
    if (!parameter.required || entries.some(([key]) => matches(parameter, key))) continue;
    const description = `is missing; operation "${name}" needs it: ${parameter.description}`;
    violations.push({ field: `metadata["${parameter.name}"]`, description });
  }
  return violations;
}

/** Whether a key is this parameter, or begins as one with a "*" does. */
export function matches({ name }: Parameter, key: string): boolean {
  return name.endsWith("*") ? key.startsWith(name.slice(0, -1)) && key.length >= name.length : key === name;
}

const typeNames: Readonly<Record<Parameter["type"], string>> = {
  string: "text",
  integer: "a whole number",
  boolean: '"true" or "false"',
  duration: 'a duration: "250ms", "30s", "10m", "1.5h", "7d"',
  json: "JSON",
};

function isOfType(value: string, type: Parameter["type"]): boolean {
  switch (type) {
    case "integer":
      return /^-?\d{1,15}$/.test(value);
    case "boolean":
      return value === "true" || value === "false";
    case "duration":
      return durationMs(value) !== undefined;
    case "json":
      return isJson(value);
    default:
      return true;
  }
}

function isJson(value: string): boolean {
  try {
    JSON.parse(value);
    return true;
  } catch {
    return false;
  }
}

const list = (names: readonly string[]) => (names.length === 0 ? "none" : names.join(", "));

function badRequest(violations: readonly Violation[]): ComponentError {
  const message = violations.map(({ field, description }) => `${field} ${description}`).join("; ");
  return new ComponentError("BAD_REQUEST", message, { violations: [...violations] });
}
