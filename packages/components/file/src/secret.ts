import { constants } from "node:fs";
import { type FileHandle, open, realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import { ComponentError, type SecretStore } from "@mecha/component";

/** The largest secret, in bytes; Kubernetes has the same limit. */
export const maxSecretBytes = 1024 * 1024;

/** A secret store over one folder. */
export interface SecretFolder extends SecretStore {
  /** Rejects with what to do if the folder is not there. */
  requireExists(): Promise<void>;
}

export function createSecretFolder(root: string): SecretFolder {
  return {
    async requireExists() {
      const found = await stat(root).catch((cause: unknown) =>
        unreadable("the folder of secrets (config.path)", cause),
      );
      if (!found?.isDirectory()) {
        throw new ComponentError(
          "COMPONENT_UNAVAILABLE",
          "the folder of secrets (config.path) does not exist; create it or correct the path",
        );
      }
    },
    async get(key, { signal }) {
      signal.throwIfAborted();
      requireInside(key);
      const path = await resolveInside(root, key);
      return path === undefined ? undefined : await read(path, key);
    },
  };
}

/** Refuses what is no plain relative path. */
function requireInside(key: string): void {
  const parts = key.split("/");
  if (!key.includes("\0") && !key.includes("\\") && parts.every((part) => part !== "" && part !== "." && part !== ".."))
    return;
  throw outside(key);
}

/** The real path of a key's file, or undefined if there is none. A link that leads out of the folder is refused. */
async function resolveInside(root: string, key: string): Promise<string | undefined> {
  const [realRoot, path] = await Promise.all([root, join(root, key)].map((each) => realpath(each).catch(absence(key))));
  if (realRoot === undefined || path === undefined) return undefined;
  if (!path.startsWith(realRoot.endsWith(sep) ? realRoot : realRoot + sep)) throw outside(key);
  return path;
}

async function read(path: string, key: string): Promise<string | undefined> {
  // The path is real, so a link here was put there since; and a named pipe would keep `open` waiting.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(path, flags).catch(absence(key));
  if (file === undefined) return undefined;
  try {
    if (!(await file.stat()).isFile()) return undefined;
    return textOf(await content(file, key), key);
  } finally {
    await file.close();
  }
}

async function content(file: FileHandle, key: string): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(maxSecretBytes + 1);
  let length = 0;
  for (let read = 1; read > 0 && length < buffer.length; length += read) {
    read = (await file.read(buffer, length, buffer.length - length)).bytesRead;
  }
  if (length <= maxSecretBytes) return buffer.subarray(0, length);
  throw new ComponentError("TOO_LARGE", `secret ${JSON.stringify(key)} is larger than ${maxSecretBytes} bytes`, {
    metadata: { key, limit_bytes: String(maxSecretBytes) },
  });
}

/** The file's text without the one newline that editors put at the end. */
function textOf(bytes: Buffer, key: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes).replace(/\r?\n$/, "");
  } catch {
    throw new ComponentError("BAD_REQUEST", `secret ${JSON.stringify(key)} is not UTF-8`, { metadata: { key } });
  }
}

function outside(key: string): ComponentError {
  const message = `secret ${JSON.stringify(key)} is not inside the store's folder; a key is the path of a file in it: "db/password"`;
  return new ComponentError("BAD_REQUEST", message, { metadata: { key } });
}

/** Turns "there is no such file" into undefined, and any other failure into an error that says what to do. */
function absence(key: string): (cause: unknown) => undefined {
  return (cause) => unreadable(`secret ${JSON.stringify(key)}`, cause);
}

function unreadable(what: string, cause: unknown): undefined {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  if (["ENOENT", "ENOTDIR", "ENAMETOOLONG"].includes(code)) return undefined;
  throw new ComponentError(
    "COMPONENT_UNAVAILABLE",
    `${what} cannot be read (${code}); may the runtime's user read it?`,
    { cause },
  );
}
