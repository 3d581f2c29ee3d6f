import { type Binding, bindingLimits, ComponentError, type InvokeCall } from "@mecha/component";
import { ErrorReply } from "@redis/client";
import keySlot from "cluster-key-slot";
import type { Argument, Reply } from "../command.js";
import type { Redis } from "../redis.js";
import { blockingArgument, defaultCommands, mayBlock, readingCommands } from "./commands.js";
import { badCommand, toCommand, toJson } from "./json.js";
import { operations } from "./operations.js";

/** What commands run over, and which. */
export interface CommandsOptions {
  readonly redis: Redis;
  /** Default: those that read and write data. */
  readonly commands: readonly string[] | undefined;
  /** What Mecha's own keys begin with, which no app reaches. */
  readonly keyPrefix: string;
}

/** The binding of a component that is not configured to have one. */
export const noBinding: Binding = { features: [], operations: [], maxDataBytes: bindingLimits.maxDataBytes };

/** The binding block: commands of the app. */
export function createBinding({ redis, commands, keyPrefix }: CommandsOptions): Binding {
  const allowed = new Set((commands ?? defaultCommands).map((name) => name.toUpperCase()));
  const own = [`{${keyPrefix}:`, `{${keyPrefix}}`];

  /** Requires that an app may run a command. */
  function requireAllowed([name, ...rest]: readonly [string, ...Argument[]]): void {
    if (!allowed.has(name)) {
      const message = `the command ${name.slice(0, 100)} is not allowed; the component's \`binding.commands\` say which are`;
      throw new ComponentError("TARGET_REFUSED", message, { metadata: { command: name.slice(0, 100) } });
    }
    for (const each of rest) {
      const text = String(each);
      if (own.some((prefix) => text.startsWith(prefix))) {
        const message = `an argument begins with "{${keyPrefix}", as the keys do in which Mecha stores what is its apps'`;
        throw new ComponentError("TARGET_REFUSED", message, { metadata: { command: name } });
      }
      if (mayBlock.has(name) && text.toUpperCase() === blockingArgument) {
        throw badCommand(`has "${text}": a command must not wait, since all callers share a connection`);
      }
    }
  }

  return {
    features: ["OUTPUT"],
    operations,
    maxDataBytes: bindingLimits.maxDataBytes,

    async invoke({ data, metadata, signal }: InvokeCall) {
      signal.throwIfAborted();
      const encoding = encodingOf(metadata.encoding ?? "text");
      const command = toCommand(data);
      requireAllowed(command);
      const [name, key = ""] = command;
      // On a cluster most commands have their key first; for the others the server says where it is.
      const options = { route: `command:${keySlot(key)}`, signal, binary: true };
      const isReading = readingCommands.has(name);
      const reply = await (isReading
        ? redis.read(command, options, (read) => read)
        : redis.write(command, options)
      ).catch((error: unknown) => {
        throw refusalOf(error, name);
      });
      return { data: encode(reply, encoding, isReading), contentType: "application/json", metadata: {} };
    },
  };
}

function encodingOf(name: string): "utf8" | "base64" {
  if (name === "text") return "utf8";
  if (name === "base64") return name;
  const violations = [{ field: 'metadata["encoding"]', description: `is "${name}"; it must be "text" or "base64"` }];
  throw new ComponentError("BAD_REQUEST", `encoding is "${name}"; it must be "text" or "base64"`, { violations });
}

/** What was wrong with a command is for its caller to know, as Redis says it: nothing was done. */
function refusalOf(error: unknown, command: string): unknown {
  const cause = error instanceof ComponentError ? error.cause : error;
  if (!(cause instanceof ErrorReply)) return error;
  const metadata = { command };
  if (cause.message.startsWith("NOPERM"))
    return new ComponentError("TARGET_REFUSED", `Redis: ${cause.message}`, { metadata });
  return error instanceof ComponentError
    ? error
    : new ComponentError("BAD_REQUEST", `Redis: ${cause.message}`, { metadata });
}

function encode(reply: Reply, encoding: "utf8" | "base64", isReading: boolean): Buffer {
  const json = Buffer.from(JSON.stringify(toJson(reply, encoding)));
  if (json.length <= bindingLimits.maxDataBytes) return json;
  const message = `the reply is ${json.length} bytes; at most ${bindingLimits.maxDataBytes} are answered`;
  const sizes = { limit_bytes: String(bindingLimits.maxDataBytes), actual_bytes: String(json.length) };
  throw new ComponentError("TOO_LARGE", message, { metadata: { ...sizes, ...(!isReading && { done: "true" }) } });
}
