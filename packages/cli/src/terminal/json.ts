import pc from "./colors.js";
import { printable } from "./printable.js";

/** A value as JSON on several lines, in colours. */
export function formatJson(value: unknown): string {
  const text = printable(JSON.stringify(value, undefined, 2) ?? "", "\n");
  return text.replace(/("(?:\\.|[^"\\])*")(\s*:)?|\b(?:true|false|null)\b|-?\d[\d.eE+-]*/g, (token, string, colon) => {
    if (colon !== undefined) return `${pc.cyan(string)}${colon}`;
    return string === undefined ? pc.yellow(token) : pc.green(string);
  });
}
