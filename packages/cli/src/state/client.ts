import { createClient } from "@connectrpc/connect";
import { StateService } from "@mecha/api/state";
import { MechaError } from "@mecha/client";
import { type ClientFlags, connect } from "../client-options.js";
import { CliError, exitCodes } from "../errors.js";

/** The contract itself, not @mecha/state: this command shows bytes and media types as they are stored. */
export type StateRpc = ReturnType<typeof createStateRpc>;

function createStateRpc(connection: Awaited<ReturnType<typeof connect>>) {
  return createClient(StateService, connection.transport);
}

/** Reasons that mean "nothing was written, somebody else was faster": a script tells them from failures by the exit code. */
const conflicts = new Set(["ETAG_MISMATCH", "ALREADY_EXISTS", "NOT_EXISTS"]);

/** Calls the state block, and closes the connection whatever happens. */
export async function withState(flags: ClientFlags, action: (state: StateRpc) => Promise<void>): Promise<void> {
  await using connection = await connect(flags);
  try {
    await action(createStateRpc(connection));
  } catch (error) {
    if (error instanceof MechaError && conflicts.has(error.reason))
      throw new CliError(error.message, exitCodes.conflict);
    throw error;
  }
}
