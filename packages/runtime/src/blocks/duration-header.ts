import type { MessageInitShape } from "@bufbuild/protobuf";
import type { DurationSchema } from "@bufbuild/protobuf/wkt";
import type { HttpRequest } from "../server/http.js";
import { badRequest } from "./validation.js";

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Parses a header such as `Mecha-TTL`: a number and a unit ("90s", "1.5h"), or seconds alone; undefined without the header. */
export function parseDurationHeader(
  request: HttpRequest,
  header: "mecha-ttl" | "mecha-delay",
): MessageInitShape<typeof DurationSchema> | undefined {
  const text = request.headers[header];
  if (text === undefined) return undefined;
  const [, amount, unit = "s"] = /^(\d{1,12}(?:\.\d{1,9})?)\s*(ms|s|m|h|d)?$/.exec(String(text).trim()) ?? [];
  if (amount === undefined) {
    throw badRequest([{ field: header, description: 'is not a duration; write a number and ms, s, m, h or d: "90s"' }]);
  }
  const ms = Number(amount) * (unitMs[unit] ?? 1000);
  const seconds = Math.floor(ms / 1000);
  return { seconds: BigInt(seconds), nanos: Math.round((ms - seconds * 1000) * 1e6) % 1e9 };
}
