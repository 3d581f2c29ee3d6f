import { extname } from "node:path";
import { type Binding, type BindingData, ComponentError, type InvokeCall } from "@mecha/component";
import type { LocalFileConfig } from "./config.js";
import type { Files } from "./files.js";
import { allOperations, readOperations } from "./operations.js";
import { parsePath } from "./path.js";

type Handler = (call: InvokeCall) => Promise<BindingData>;

const nothing: BindingData = { data: new Uint8Array(), contentType: "", metadata: {} };

/** The operations on the files of one root. */
export function createFileBinding(
  files: Files,
  config: LocalFileConfig,
  isClosed: () => boolean,
): Omit<Binding, "features"> {
  const handlers: Readonly<Record<string, Handler>> = {
    async read({ metadata }) {
      const names = toFile(metadata.path);
      const { data, modified } = await files.read(names);
      return {
        data,
        contentType: contentTypeOf(names),
        metadata: { size: String(data.byteLength), modified: modified.toISOString() },
      };
    },
    async write({ metadata, data }) {
      await files.write(toFile(metadata.path), data, metadata.ifAbsent === "true");
      return nothing;
    },
    async delete({ metadata }) {
      return { ...nothing, metadata: { existed: String(await files.remove(toFile(metadata.path))) } };
    },
    async list({ metadata }) {
      const limit = Number(metadata.limit ?? 100);
      if (limit < 1 || limit > 1000) throw badRequest("limit", `is ${limit}; 1 to 1000 are allowed`);
      const { entries, more } = await files.names(parsePath(metadata.path ?? ""), metadata.after ?? "", limit);
      const next = more ? entries.at(-1)?.name : undefined;
      const data = Buffer.from(JSON.stringify(entries));
      return { data, contentType: "application/json", metadata: next === undefined ? {} : { next } };
    },
  };
  return {
    operations: config.readOnly ? readOperations : allOperations,
    maxDataBytes: config.maxFileBytes,
    async invoke(call) {
      if (isClosed()) throw new ComponentError("COMPONENT_UNAVAILABLE", "the component is closed");
      call.signal.throwIfAborted();
      const handler = handlers[call.operation];
      if (handler === undefined) throw new Error(`no handler for operation "${call.operation}"`);
      try {
        return await handler(call);
      } catch (error) {
        throw explain(error, call.metadata.path ?? "");
      }
    },
  };
}

function toFile(path = ""): string[] {
  const names = parsePath(path);
  if (names.length === 0) throw badRequest("path", "is empty; it must name a file");
  return names;
}

/** What the system says, in words, and without where the root is. */
function explain(error: unknown, path: string): unknown {
  const where = `"${path.slice(0, 200)}"`;
  switch ((error as NodeJS.ErrnoException).code) {
    case "ENOENT":
      return new ComponentError("NOT_EXISTS", `there is no ${where}`, { cause: error });
    case "EEXIST":
      return new ComponentError("ALREADY_EXISTS", `${where} exists already`, { cause: error });
    case "ELOOP":
    case "ENOTDIR":
      return badRequest("path", `${where} leads through a file or a symbolic link, which is not followed`, error);
    case "EISDIR":
    case "ENXIO":
      return badRequest("path", `${where} is no file`, error);
    case "ENOSPC":
    case "EDQUOT":
      return new ComponentError("STORAGE_FULL", `there is no space left for ${where}`, { cause: error });
    case "EACCES":
    case "EPERM":
    case "EROFS":
    case "EMFILE":
    case "EIO": {
      const { code } = error as NodeJS.ErrnoException;
      return new ComponentError("COMPONENT_UNAVAILABLE", `the system does not let the runtime at ${where} (${code})`, {
        cause: error,
      });
    }
    default:
      return error;
  }
}

function badRequest(parameter: string, description: string, cause?: unknown): ComponentError {
  const violations = [{ field: `metadata["${parameter}"]`, description }];
  return new ComponentError("BAD_REQUEST", `${parameter} ${description}`, { violations, cause });
}

/** What the runtime's clients read by themselves; anything else is bytes. */
const contentTypes: Readonly<Record<string, string>> = {
  ".json": "application/json",
  ".txt": "text/plain; charset=utf-8",
  ".md": "text/markdown; charset=utf-8",
  ".csv": "text/csv; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".xml": "application/xml",
  ".pdf": "application/pdf",
  ".png": "image/png",
  ".jpg": "image/jpeg",
};

function contentTypeOf(names: readonly string[]): string {
  return contentTypes[extname(names.at(-1) ?? "").toLowerCase()] ?? "application/octet-stream";
}
