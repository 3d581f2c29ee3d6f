import { InvalidArgumentError } from "@commander-js/extra-typings";

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Accepts a duration ("250ms", "1.5h"), as ms. */
export function parseDuration(value: string): number {
  const [, amount, unit = ""] = /^(\d{1,12}(?:\.\d{1,9})?)(ms|s|m|h|d)$/.exec(value) ?? [];
  const size = unitMs[unit];
  if (amount !== undefined && size !== undefined) return Math.ceil(Number(amount) * size);
  throw new InvalidArgumentError('"250ms", "30s", "10m", "1.5h" and "7d" are durations.');
}

/** Accepts where a runtime is. */
export function parseEndpoint(value: string): string {
  const valid = value.startsWith("unix:/") || (/^https?:\/\//.test(value) && URL.canParse(value));
  if (valid) return value;
  throw new InvalidArgumentError("an endpoint is http://host:port, https://host:port or unix:/path/of/socket.");
}

/** Accepts a number of things, 1 or more. */
export function parseCount(value: string): number {
  const count = Number(value);
  if (Number.isInteger(count) && count > 0) return count;
  throw new InvalidArgumentError("it is a whole number, 1 or more.");
}

/** Accepts `name=value`, and adds it to those before. */
export function parsePair(text: string, before: Record<string, string> = {}): Record<string, string> {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("write it as name=value.");
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}

/** Accepts where a group begins: with the oldest event, or with a time. */
export function parseStart(value: string): "earliest" | Date {
  if (value === "earliest") return value;
  const time = new Date(value);
  if (!Number.isNaN(time.getTime())) return time;
  throw new InvalidArgumentError('it is "earliest" or a time: 2026-11-21T10:00:00Z.');
}
