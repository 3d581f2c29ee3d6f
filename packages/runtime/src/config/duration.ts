import { z } from "@mecha/component";

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A duration as text ("30s", "1.5h"), within bounds in ms; parsed to ms. */
export const duration = (what: string, [min, max]: readonly [number, number]) =>
  z
    .string()
    .transform((text, context) => {
      const [, amount, unit = ""] = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)$/.exec(text) ?? [];
      const ms = Math.ceil(Number(amount) * (unitMs[unit] ?? Number.NaN));
      if (ms >= min && ms <= max) return ms;
      const range = `${formatDuration(min)} to ${formatDuration(max)}`;
      context.issues.push({
        code: "custom",
        message: `write a number and its unit: "250ms", "30s", "10m"; ${range} are allowed`,
        input: text,
      });
      return z.NEVER;
    })
    .describe(what);

/** The shortest text that {@link duration} reads as `ms`. */
export function formatDuration(ms: number): string {
  const [unit = "ms", size = 1] = Object.entries(unitMs).findLast(([, size]) => ms >= size && ms % size === 0) ?? [];
  return `${ms / size}${unit}`;
}
