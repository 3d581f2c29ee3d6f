import { Option } from "@commander-js/extra-typings";
import { createRuntimeCommand, defaultHost, resolveRuntimeSettings } from "../settings.js";

/** `mecha serve`: the runtime alone. */
export function createServeCommand() {
  return createRuntimeCommand("serve")
    .summary("run the runtime alone: for a host, a container, a pod")
    .description("Runs the runtime until it is told to stop.")
    .addOption(
      new Option("--host <address>", `the address to listen on (default: ${defaultHost}: this machine only)`).env(
        "MECHA_HOST",
      ),
    )
    .addOption(
      new Option("--token-file <path>", "callers must send the token that stands in this file").conflicts("token"),
    )
    .option("--no-token", "ask for no token, even on an address that other machines reach")
    .action(async (flags) => {
      const settings = resolveRuntimeSettings(flags);
      const { serve } = await import("../serve.js");
      await serve({ settings, tokenFile: flags.tokenFile, withoutToken: !flags.token });
    })
    .addHelpText(
      "after",
      `
Who may call: on this machine (the default) and on a Unix socket everybody who reaches it, unless there is a token: in
--token-file, or in MECHA_API_TOKEN. An address that other machines reach needs a token, or --no-token.

What subscriptions post to the app (--app-port) carries MECHA_APP_TOKEN as "authorization: Bearer …", if that is set.

The first SIGINT, SIGTERM or SIGHUP drains: what is in flight is finished, nothing new is taken, exit code 0. A second one
ends the runtime at once.

Examples:
  $ mecha serve --app-id shop
  $ curl http://127.0.0.1:3600/mecha.state.v1.StateService/Set \\
      -H 'content-type: application/json' -d '{"key": "greeting", "value": "aGVsbG8="}'
  $ mecha serve --app-id shop --socket /run/shop/mecha.sock
  $ mecha serve --app-id shop --host 0.0.0.0 --token-file /run/secrets/mecha-token
`,
    );
}
