import type { MessageInitShape } from "@bufbuild/protobuf";
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
