// `pnpm new:component NAME "DESCRIPTION"` and `pnpm new:block NAME "DESCRIPTION"`: make the files that every component, and every block, has
// (architecture: "the same rooms in every house of a kind"), and the lines that register it.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { blockFiles, blockLines } from "./scaffold/block.ts";
import { componentFiles, componentLines } from "./scaffold/component.ts";

/** A line to add to a file: before the first line that contains `before`. */
export interface Line {
  readonly file: string;
  readonly before: string;
  readonly text: string;
}

/** What is made. */
export interface Subject {
  /** "nats": a word of lower-case letters and digits. */
  readonly name: string;
  /** "Nats", for types. */
  readonly typeName: string;
  readonly description: string;
  /** Reads a file of the repository, so that what is new begins as its siblings are. */
  readonly read: (path: string) => string;
}

const { values, positionals } = parseArgs({ allowPositionals: true, options: { root: { type: "string" } } });
const root = resolve(values.root ?? join(import.meta.dirname, ".."));
const [kind, name = "", description = ""] = positionals;

if ((kind !== "component" && kind !== "block") || !/^[a-z][a-z0-9]{0,30}$/.test(name) || description === "") {
  console.error('Usage: pnpm new:component NAME "DESCRIPTION"\n       pnpm new:block NAME "DESCRIPTION"');
  console.error("\nNAME is a word of lower-case letters and digits: nats, lock. Nothing was written.");
  process.exit(2);
}

const subject: Subject = {
  name,
  typeName: name.charAt(0).toUpperCase() + name.slice(1),
  description: description.replace(/\.$/, ""),
  read: (path) => readFileSync(join(root, path), "utf8"),
};
const files = kind === "component" ? componentFiles(subject) : blockFiles(subject);
const lines = kind === "component" ? componentLines(subject) : blockLines(subject);

// Everything is checked before anything is written.
const taken = Object.keys(files).filter((file) => existsSync(join(root, file)));
if (taken.length > 0) {
  console.error(`${kind} "${name}" exists already: ${taken[0]} is there. Nothing was written.`);
  process.exit(1);
}
const changed = new Map<string, string>();
for (const { file, before, text } of lines) {
  const content = changed.get(file) ?? subject.read(file);
  const at = content.split("\n").findIndex((line) => line.includes(before));
  if (at === -1) {
    console.error(`${file} has no line with \`${before}\` to put \`${text.trim()}\` before. Nothing was written.`);
    process.exit(1);
  }
  changed.set(file, content.split("\n").toSpliced(at, 0, text).join("\n"));
}

for (const [file, content] of [...Object.entries(files), ...changed]) {
  mkdirSync(dirname(join(root, file)), { recursive: true });
  writeFileSync(join(root, file), content);
}
for (const file of Object.keys(files)) console.log(`  new      ${file}`);
for (const file of changed.keys()) console.log(`  changed  ${file}`);
console.log(`\nNext: pnpm install && pnpm format, then begin with ${Object.keys(files)[0]}.`);
