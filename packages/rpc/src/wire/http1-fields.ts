/** Which characters a header's name is made of (RFC 9110, section 5.6.2). */
const inName = table((code) => /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(String.fromCharCode(code)));
/** Which characters a header's value is made of (RFC 9110, section 5.5). */
const inValue = table((code) => code === 0x09 || (code >= 0x20 && code !== 0x7f));

const carriageReturn = 0x0d;
const lineFeed = 0x0a;
const colon = 0x3a;

/** Takes a header: its name in lower case, its value, and where in the text that begins. False if it is not wanted. */
type TakeField = (name: string, value: string, valueStart: number) => boolean;

/**
 * Reads header lines, each with its end, and calls back for each; false as soon as one is not as RFC 9112 writes it (a folded line, a bare line feed,
 * a space before the colon …), or is not wanted.
 */
export function readFields(text: string, start: number, field: TakeField): boolean {
  let at = start;
  while (at < text.length) {
    let nameEnd = at;
    while (inName[text.charCodeAt(nameEnd)] === 1) nameEnd++;
    if (nameEnd === at || text.charCodeAt(nameEnd) !== colon) return false;
    let lineEnd = nameEnd + 1;
    while (inValue[text.charCodeAt(lineEnd)] === 1) lineEnd++;
    if (text.charCodeAt(lineEnd) !== carriageReturn || text.charCodeAt(lineEnd + 1) !== lineFeed) return false;
    // Without the spaces and tabs around it; String's own trim takes more than those.
    let from = nameEnd + 1;
    let to = lineEnd;
    while (from < to && isBlank(text.charCodeAt(from))) from++;
    while (to > from && isBlank(text.charCodeAt(to - 1))) to--;
    if (!field(text.slice(at, nameEnd).toLowerCase(), text.slice(from, to), from)) return false;
    at = lineEnd + 2;
  }
  return true;
}

/** Whether it could stand where another value of its length stood: what {@link readFields} takes for a value, with nothing to trim. */
export const isTrimmedValue = (text: string): boolean => trimmedValue.test(text);
const trimmedValue = /^[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?$/;

const isName = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Also what is no byte: written as one, some characters would become a line's end. */
const notInValue = /[^\t\x20-\x7e\x80-\xff]/;

/** Of how many names the last line is kept, and of how long a value: most headers say what they said before. */
const maxKnownLines = 256;
const maxKnownLength = 128;
const knownLines = new Map<string, { value: string; line: string }>();
/** What these say is kept nowhere. */
const secret = new Set(["authorization", "cookie", "set-cookie", "proxy-authorization", "x-api-key", "mecha-token"]);

/** A header's line. Throws if it would be more than one line, or no header: nothing of the kind is ever written. */
export function fieldLine(name: string, value: string): string {
  const known = knownLines.get(name);
  if (known?.value === value) return known.line;
  const line = checkedLine(name, value);
  if (value.length > maxKnownLength || secret.has(name)) return line;
  if (known !== undefined) {
    known.value = value;
    known.line = line;
  } else if (knownLines.size < maxKnownLines) knownLines.set(name, { value, line });
  return line;
}

function checkedLine(name: string, value: string): string {
  if (!isName.test(name) || notInValue.test(value)) {
    throw new TypeError(`header ${JSON.stringify(name)} has a character that must not be written`);
  }
  return `${name}: ${value}\r\n`;
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

function table(includes: (code: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, code) => (includes(code) ? 1 : 0));
}
