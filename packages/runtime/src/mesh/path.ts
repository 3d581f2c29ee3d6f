import { ComponentError } from "@mecha/component";
import { foldSegment } from "../routes/path-template.js";

/** A path that is not passed on, and why. */
const refused = (why: string) => new ComponentError("BAD_REQUEST", `the path is not passed on: ${why}`);

const unreserved = /[A-Za-z0-9._~-]/;
/** What may stand in a path (RFC 3986, section 3.3), beside the slash and percent-encoding. */
const pathCharacter = /[A-Za-z0-9._~!$&'()*+,;=:@-]/;

/**
 * Brings the path of a request target into the one form that is matched and passed on, so that what is decided about a path is decided about what
 * the app gets: dot segments resolved (also encoded ones), slashes merged, needless encoding undone, the rest of it in capitals. Refused is
 * what servers read in different ways: encoded slashes and backslashes, backslashes, control characters, broken encoding. Matrix parameters
 * (`;v=1`) and letter case are part of a segment, and stay. The query stays as it is. Throws BAD_REQUEST.
 *
 * @param target "/a/b?c": with a slash at its begin.
 */
export function normalizeTarget(target: string): string {
  const queryAt = target.indexOf("?");
  const path = queryAt === -1 ? target : target.slice(0, queryAt);
  const query = queryAt === -1 ? "" : target.slice(queryAt);
  if (path.includes("#") || /[^\x21-\x7e]/.test(query)) throw refused("it has a character that must be encoded");
  // Most paths are in order already.
  if (isNormal(path)) return target;
  return resolveSegments(decodeNeedless(path)) + query;
}

function isNormal(path: string): boolean {
  return /^\/[A-Za-z0-9._~!$&'()*+,;=:@/-]*$/.test(path) && !path.includes("//") && !path.includes("/.");
}

/** Undoes the encoding of what need not be encoded, and refuses what must not be there. */
function decodeNeedless(path: string): string {
  let result = "";
  for (let at = 0; at < path.length; at++) {
    const character = path.charAt(at);
    if (character !== "%") {
      if (character === "\\") throw refused("it has a backslash, which some servers take for a slash");
      if (character !== "/" && !pathCharacter.test(character)) throw refused("it has a character that must be encoded");
      result += character;
      continue;
    }
    const hex = path.slice(at + 1, at + 3);
    if (!/^[0-9a-f]{2}$/i.test(hex)) throw refused('it has a "%" that encodes nothing');
    const code = Number.parseInt(hex, 16);
    const decoded = String.fromCharCode(code);
    if (decoded === "/" || decoded === "\\") {
      throw refused(
        `it has an encoded ${decoded === "/" ? "slash" : "backslash"}, which servers read in different ways`,
      );
    }
    if (code < 0x20 || code === 0x7f) throw refused("it has an encoded control character");
    result += unreserved.test(decoded) ? decoded : `%${hex.toUpperCase()}`;
    at += 2;
  }
  return result;
}

/** RFC 3986, section 5.2.4, with slashes merged before: "/a//../b" is "/b". */
function resolveSegments(path: string): string {
  const merged = path.replaceAll(/\/{2,}/g, "/");
  const segments: string[] = [];
  const given = merged.split("/").slice(1);
  for (const segment of given) {
    // "..;x" is ".." to servers that take parameters off first (Tomcat), and a name to others.
    if (/^\.{1,2};/.test(segment))
      throw refused("it has a dot segment with parameters, which servers read in different ways");
    if (segment.includes("%") && /^\.{1,2}$|[/\\]/.test(foldSegment(segment)))
      throw refused("it has a segment that some servers read as dots or a slash");
    if (segment === "..") segments.pop();
    else if (segment !== ".") segments.push(segment);
  }
  const last = given.at(-1);
  if (last === "." || last === "..") segments.push("");
  return `/${segments.join("/")}`;
}

/** A target without its query. */
export function withoutQuery(target: string): string {
  const end = target.indexOf("?");
  return end === -1 ? target : target.slice(0, end);
}
