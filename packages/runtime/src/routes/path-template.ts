/** A pattern that paths of an app are matched by, as `parsePathTemplate` reads it. */
export interface PathTemplate {
  /** As it was written. */
  readonly text: string;
  /** Its segments: a text that must stand there, `undefined` for `{name}`. */
  readonly segments: readonly (string | undefined)[];
  /** Whether it ends in `/**`, which takes any rest, also none. */
  readonly takesRest: boolean;
  /** Whether it takes a path, to the letter: what is allowed is exactly that. */
  matches(path: string): boolean;
  /**
   * Whether some web framework may take the path for one of these: letter case, matrix parameters (`;v=1`), a slash at the end and compatible
   * Unicode letters make no difference. What is refused is all of that.
   */
  covers(path: string): boolean;
}

/** Why a text is no path template, for a person to read. */
export class PathTemplateError extends Error {
  override readonly name = "PathTemplateError";
}

/**
 * Reads a path template: `/orders/{id}` has any one segment for `{id}`, `/admin/**` is `/admin` and all below it. Paths are matched in the form that
 * `normalizeTarget` gives them, without their query; other letters than those of ASCII may be written as they are. Throws a {@link PathTemplateError}.
 */
export function parsePathTemplate(text: string): PathTemplate {
  if (!text.startsWith("/")) throw new PathTemplateError('a path begins with "/"');
  if (/[?#\\\s]/.test(text)) throw new PathTemplateError("a path has no query, fragment, backslash or space");
  const takesRest = text.endsWith("/**");
  const fixed = (takesRest ? text.slice(0, -"/**".length) : text).slice(1);
  const written = fixed === "" && takesRest ? [] : fixed.split("/");
  const segments = written.map((segment, index) => readSegment(segment, index === written.length - 1));
  const folded = segments
    .map((segment) => (segment === undefined ? undefined : foldSegment(segment)))
    .filter((segment) => segment !== "");
  return {
    text,
    segments,
    takesRest,
    matches: (path) => fits(path.slice(1).split("/"), segments, takesRest),
    covers: (path) => fits(foldPath(path), folded, takesRest),
  };
}

/** Orders templates, the one that takes fewer paths first: more texts that must stand there, then more segments, then no `/**`. */
export function compareSpecificity(a: PathTemplate, b: PathTemplate): number {
  const literals = ({ segments }: PathTemplate) => segments.filter((segment) => segment !== undefined).length;
  return (
    literals(b) - literals(a) || b.segments.length - a.segments.length || Number(a.takesRest) - Number(b.takesRest)
  );
}

/** Whether there is a path that both take. */
export function overlap(a: PathTemplate, b: PathTemplate): boolean {
  const length = Math.max(a.segments.length, b.segments.length);
  if (a.segments.length < length && !a.takesRest) return false;
  if (b.segments.length < length && !b.takesRest) return false;
  return a.segments.every((segment, index) => {
    const other = b.segments[index];
    return segment === undefined || other === undefined || segment === other;
  });
}

/** `undefined` for `{name}`. */
function readSegment(segment: string, isLast: boolean): string | undefined {
  if (/^\{[A-Za-z_][A-Za-z0-9_]*\}$/.test(segment)) return undefined;
  if (segment === "" && !isLast) throw new PathTemplateError("it has an empty segment");
  if (segment === "." || segment === "..") throw new PathTemplateError("it has a dot segment");
  if (/[{}]/.test(segment)) throw new PathTemplateError("a segment is either a text or {name}, not a mixture");
  if (segment.includes("*"))
    throw new PathTemplateError('"**" may stand only at the end: "/admin/**"; one segment is {name}');
  if (/%(?![0-9A-Fa-f]{2})/.test(segment)) throw new PathTemplateError('it has a "%" that encodes nothing');
  if (/%(?:2f|5c)/i.test(segment))
    throw new PathTemplateError("it has an encoded slash, which no path has that is passed on");
  // Into the form that paths have: what need not be encoded is not, the rest in capitals.
  return encodeURI(segment)
    .replaceAll("%25", "%")
    .replaceAll(/%[0-9a-f]{2}/gi, (encoded) => {
      const decoded = String.fromCharCode(Number.parseInt(encoded.slice(1), 16));
      return /[A-Za-z0-9._~-]/.test(decoded) ? decoded : encoded.toUpperCase();
    });
}

function fits(given: readonly string[], wanted: readonly (string | undefined)[], takesRest: boolean): boolean {
  if (given.length < wanted.length || (given.length > wanted.length && !takesRest)) return false;
  // `{name}` is one segment, and an empty one is none.
  return wanted.every((segment, index) => (segment === undefined ? given[index] !== "" : segment === given[index]));
}

/**
 * The segments of a path as the least careful framework reads them: decoded once more, without parameters, and only then split and resolved, since
 * what is left of a segment may be nothing, dots or a slash.
 */
function foldPath(path: string): string[] {
  const result: string[] = [];
  const folded = path.slice(1).split("/").map(foldSegment).join("/");
  for (const part of folded.split(/[/\\]/)) {
    const segment = part.trim();
    if (segment === "..") result.pop();
    else if (segment !== "" && segment !== ".") result.push(segment);
  }
  return result;
}

/** A segment as the least careful framework reads it. */
export function foldSegment(segment: string): string {
  const decoded = decodeSafely(segment);
  const parameters = decoded.indexOf(";");
  return (parameters === -1 ? decoded : decoded.slice(0, parameters)).normalize("NFKC").toLowerCase();
}

function decodeSafely(segment: string): string {
  if (!segment.includes("%")) return segment;
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
