import { readdir, readFile, stat } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import type { Problem } from "./problem.js";

/** A resource given as an object instead of in a file; the shape of a YAML document. */
export interface ResourceObject {
  apiVersion: "mecha.dev/v1";
  kind: string;
  metadata: { name: string };
  spec?: Record<string, unknown>;
}

/** Where in a document something stands: `["spec", "config", "url"]`. */
export type Path = readonly PropertyKey[];

/** One YAML document, before anybody looked at what it says. */
export interface ResourceDocument {
  readonly value: unknown;
  /** The file as messages name it. */
  readonly file: string;
  /** What relative paths in it are relative to. */
  readonly baseDir: string;
  /** `mecha.yaml:12`: the file and the line where `path`, or else the nearest thing around it, stands. */
  sourceOf(path: Path): string;
}

/** The documents of some files, and what could not be read. */
export interface ReadDocuments {
  readonly documents: readonly ResourceDocument[];
  readonly problems: readonly Problem[];
  /** The folders and files to watch for changes. */
  readonly watched: readonly string[];
}

/** Reads every document of `resources`; undefined looks in the working directory. A file that cannot be read is a problem, not an end. */
export async function readDocuments(
  resources: readonly (string | ResourceObject)[] | undefined,
): Promise<ReadDocuments> {
  const documents: ResourceDocument[] = [];
  const problems: Problem[] = [];
  const watched: string[] = [];
  const entries = resources ?? ["mecha.yaml", "mecha"];
  for (const [index, entry] of entries.entries()) {
    if (typeof entry !== "string") {
      documents.push(objectDocument(entry, index));
      continue;
    }
    watched.push(resolve(entry));
    try {
      for (const file of await filesOf(entry)) await readFileInto(file, documents, problems);
    } catch (error) {
      const absent = (error as NodeJS.ErrnoException).code === "ENOENT";
      if (absent && resources === undefined) continue;
      problems.push({ source: entry, message: absent ? "there is no such file or folder" : describe(error) });
    }
  }
  return { documents, problems, watched };
}

async function filesOf(path: string): Promise<string[]> {
  if (!(await stat(path)).isDirectory()) return [path];
  const names = await readdir(path);
  return names
    .filter((name) => /\.ya?ml$/.test(name))
    .sort()
    .map((name) => join(path, name));
}

async function readFileInto(path: string, documents: ResourceDocument[], problems: Problem[]): Promise<void> {
  // Loaded here: a runtime without resource files does not pay for a YAML parser.
  const { isMap, isScalar, isSeq, LineCounter, parseAllDocuments } = await import("yaml");
  const file = relative(process.cwd(), path) || path;
  const shown = file.startsWith("..") ? path : file;
  const lines = new LineCounter();
  const text = await readFile(path, "utf8");
  for (const document of parseAllDocuments(text, { lineCounter: lines, prettyErrors: false })) {
    const at = (offset: number | undefined) => `${shown}:${lines.linePos(offset ?? 0).line}`;
    for (const error of [...document.errors, ...document.warnings]) {
      problems.push({ source: at(error.pos[0]), message: `YAML: ${error.message}` });
    }
    if (document.errors.length > 0 || document.contents === null) continue;

    const sourceOf = (path: Path): string => {
      let node: unknown = document.contents;
      let offset = document.contents?.range?.[0];
      for (const segment of path) {
        if (isMap(node)) {
          const pair = node.items.find(({ key }) => isScalar(key) && key.value === segment);
          if (pair === undefined) break;
          offset = isScalar(pair.key) ? pair.key.range?.[0] : offset;
          node = pair.value;
        } else if (isSeq(node)) {
          node = node.items[Number(segment)];
          offset = (node as { range?: [number, number, number] } | undefined)?.range?.[0] ?? offset;
        } else break;
      }
      return at(offset);
    };
    try {
      const value: unknown = document.toJS();
      if (value !== null) documents.push({ value, file: shown, baseDir: dirname(resolve(path)), sourceOf });
    } catch (error) {
      // An alias without its anchor, or aliases that would explode.
      problems.push({ source: sourceOf([]), message: `YAML: ${describe(error)}` });
    }
  }
}

function objectDocument(value: ResourceObject, index: number): ResourceDocument {
  const file = `resources[${index}]`;
  return { value, file, baseDir: process.cwd(), sourceOf: () => file };
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
