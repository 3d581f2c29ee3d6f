import type { IncomingHttpHeaders } from "node:http";
import type { HeaderMap } from "../mesh/headers.js";
import type { SectionValue } from "../policy/sections.js";

type Where = Pick<SectionValue<"jwt">, "from" | "forward">;

/** The token that a call bears; undefined if it bears none. */
export function tokenOf({ from }: Where, headers: IncomingHttpHeaders): string | undefined {
  if ("cookie" in from) return cookies(headers.cookie).find(([name]) => name === from.cookie)?.[1];
  const value = headers[from.header];
  if (value === undefined) return undefined;
  const text = String(value);
  if (from.header !== "authorization") return text;
  return /^bearer +(\S+)$/i.exec(text)?.[1];
}

/** The headers that reach the app, without the token where it is not passed on. */
export function withoutToken({ from, forward }: Where, headers: HeaderMap): HeaderMap {
  if (forward) return headers;
  const kept = { ...headers };
  if ("header" in from) delete kept[from.header];
  else {
    const others = cookies(String(headers.cookie ?? "")).filter(([name]) => name !== from.cookie);
    if (others.length === 0) delete kept.cookie;
    else kept.cookie = others.map(([name, value]) => `${name}=${value}`).join("; ");
  }
  return kept;
}

/** RFC 6265, section 4.2.1. */
function cookies(header: string | undefined): [name: string, value: string][] {
  return (header ?? "").split(";").flatMap((pair): [string, string][] => {
    const end = pair.indexOf("=");
    return end === -1 ? [] : [[pair.slice(0, end).trim(), pair.slice(end + 1).trim()]];
  });
}
