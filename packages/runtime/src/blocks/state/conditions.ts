import type { MessageInitShape } from "@bufbuild/protobuf";
import type { DurationSchema } from "@bufbuild/protobuf/wkt";
import type { PreconditionSchema } from "@mecha/api/state";
import type { HttpRequest } from "../../server/http.js";
import { badRequest } from "../validation.js";

/** `*`, or entity tags without their quotes. A weak tag is marked: it never matches where a strong comparison is asked for. */
export type Etags = "*" | readonly { readonly etag: string; readonly weak: boolean }[];

/** Parses `If-Match` or `If-None-Match` (RFC 9110, 13.1); undefined without the header. */
export function parseEtags(request: HttpRequest, header: "if-match" | "if-none-match"): Etags | undefined {
  const text = request.headers[header]?.trim();
  if (text === undefined) return undefined;
  if (text === "*") return "*";
  const tags = [...text.matchAll(/(W\/)?"([^"]*)"\s*(?:,\s*|$)/gy)];
  const parsed = tags.reduce((length, [match]) => length + match.length, 0);
  if (tags.length === 0 || parsed !== text.length) {
    throw badRequest([{ field: header, description: 'is neither "*" nor etags in double quotes' }]);
  }
  return tags.map(([, weak, etag]) => ({ etag: etag ?? "", weak: weak !== undefined }));
}

/** Whether one of `etags` is `etag`. */
export function matchesEtag(etags: Etags, etag: string, comparison: "strong" | "weak"): boolean {
  if (etags === "*") return true;
  return etags.some((candidate) => candidate.etag === etag && (comparison === "weak" || !candidate.weak));
}

/** The precondition that the headers of a write ask for; undefined for none. */
export function toPrecondition(request: HttpRequest): MessageInitShape<typeof PreconditionSchema> | undefined {
  const ifMatch = parseEtags(request, "if-match");
  const ifNoneMatch = parseEtags(request, "if-none-match");
  if (ifNoneMatch !== undefined) {
    if (ifMatch !== undefined)
      throw badRequest([{ field: "if-none-match", description: "cannot stand beside if-match" }]);
    if (ifNoneMatch === "*") return { condition: { case: "absent", value: true } };
    throw badRequest([
      { field: "if-none-match", description: 'must be "*" on a write: write only if the key is absent' },
    ]);
  }
  if (ifMatch === undefined) return undefined;
  if (ifMatch === "*") return { condition: { case: "exists", value: true } };
  const [only, ...others] = ifMatch;
  if (only === undefined || others.length > 0 || only.weak || only.etag === "") {
    throw badRequest([{ field: "if-match", description: 'must be "*" or one strong etag on a write' }]);
  }
  return { condition: { case: "etag", value: only.etag } };
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Parses `Mecha-TTL`: a number and a unit ("90s", "1.5h"), or seconds alone; undefined without the header. */
export function parseTtl(request: HttpRequest): MessageInitShape<typeof DurationSchema> | undefined {
  const text = request.headers["mecha-ttl"];
  if (text === undefined) return undefined;
  const [, amount, unit = "s"] = /^(\d{1,12}(?:\.\d{1,9})?)\s*(ms|s|m|h|d)?$/.exec(String(text).trim()) ?? [];
  if (amount === undefined) {
    throw badRequest([
      { field: "mecha-ttl", description: 'is not a duration; write a number and ms, s, m, h or d: "90s"' },
    ]);
  }
  const ms = Number(amount) * (unitMs[unit] ?? 1000);
  const seconds = Math.floor(ms / 1000);
  return { seconds: BigInt(seconds), nanos: Math.round((ms - seconds * 1000) * 1e6) % 1e9 };
}
