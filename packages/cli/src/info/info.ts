import { toJson } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { GetInfoResponseSchema, Health, RuntimeService } from "@mecha/api/runtime";
import { type ClientFlags, connect } from "../client-options.js";
import { exitCodes } from "../errors.js";
import { print, printJson } from "../terminal/print.js";
import { describe } from "./describe.js";

/** Prints what the runtime says of itself. */
export async function info(flags: ClientFlags & { json?: true | undefined }): Promise<void> {
  await using connection = await connect(flags);
  const response = await createClient(RuntimeService, connection.transport).getInfo({});
  if (flags.json) await printJson(toJson(GetInfoResponseSchema, response, { alwaysEmitImplicit: true }));
  else await print(`${describe(response, flags.endpoint)}\n`);
  if (response.components.some(({ health }) => health === Health.UNHEALTHY)) process.exitCode = exitCodes.failed;
}
