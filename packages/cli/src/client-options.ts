import { Command, Option } from "@commander-js/extra-typings";
import type { RuntimeConnection } from "@mecha/client";
import { parseEndpoint } from "./parse.js";
import { readToken } from "./token.js";

/** A command that calls a runtime: its options say which one. */
export function createClientCommand(name: string) {
  return new Command(name)
    .addOption(
      new Option("-e, --endpoint <url>", "the runtime: http://host:port or unix:/path")
        .env("MECHA_ENDPOINT")
        .default("http://127.0.0.1:3600")
        .argParser(parseEndpoint),
    )
    .option("--token-file <path>", "the file that holds the runtime's token (default: the token in MECHA_API_TOKEN)")
    .option("--json", "print JSON, for scripts");
}

/** What {@link createClientCommand}'s options give. */
export interface ClientFlags {
  endpoint: string;
  tokenFile?: string | undefined;
}

/** The way to the runtime. Nothing is tried again: a person waits for the answer, and a script decides by itself. */
export async function connect(flags: ClientFlags): Promise<RuntimeConnection> {
  const { connectRuntime } = await import("@mecha/client");
  return connectRuntime({
    endpoint: flags.endpoint,
    retry: false,
    ...(flags.tokenFile !== undefined && { token: await readToken(flags.tokenFile) }),
  });
}
