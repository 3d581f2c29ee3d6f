import { ComponentError } from "@mecha/component";
import type { HeaderMap } from "../mesh/headers.js";
import type { SectionValue } from "../policy/sections.js";
import type { Arrival } from "./gate.js";

/** What a web page's call gets: headers for its answer, or all of the answer to a preflight. */
export interface CorsAnswer {
  readonly headers: HeaderMap;
  readonly isPreflight: boolean;
}

/** What becomes of a call by where its page is from; undefined if no page makes it. Throws FOREIGN_ORIGIN. */
export function answerCors(section: SectionValue<"cors">, { method, headers }: Arrival): CorsAnswer | undefined {
  const { origin } = headers;
  if (origin === undefined || isOwn(origin, headers["x-forwarded-host"])) return undefined;
  const { origins, methods, credentials, exposeHeaders, maxAge } = section;
  if (!origins.includes("*") && !origins.includes(origin)) {
    throw new ComponentError("FOREIGN_ORIGIN", `web pages of ${origin} may not call this app`, {
      metadata: { origin },
    });
  }
  const common: HeaderMap = {
    "access-control-allow-origin": origins.includes("*") ? "*" : origin,
    ...(!origins.includes("*") && { vary: "Origin" }),
    ...(credentials && { "access-control-allow-credentials": "true" }),
  };
  const requested = headers["access-control-request-method"];
  if (method !== "OPTIONS" || requested === undefined) {
    const exposed = exposeHeaders.length > 0 ? { "access-control-expose-headers": exposeHeaders.join(", ") } : {};
    return { headers: { ...common, ...exposed }, isPreflight: false };
  }
  const allowed = section.headers?.join(", ") ?? headers["access-control-request-headers"];
  return {
    headers: {
      ...common,
      "access-control-allow-methods": methods.join(", "),
      ...(allowed !== undefined && { "access-control-allow-headers": String(allowed) }),
      "access-control-max-age": String(Math.floor(maxAge / 1000)),
    },
    isPreflight: true,
  };
}

/** A page that came from the app itself, by the edge port. */
function isOwn(origin: string, host: string | string[] | undefined): boolean {
  return host !== undefined && URL.parse(origin)?.host === host;
}
