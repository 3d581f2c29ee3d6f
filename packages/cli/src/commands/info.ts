import { createClientCommand } from "../client-options.js";

/** `mecha info`: what a running runtime is and serves. */
export function createInfoCommand() {
  return createClientCommand("info")
    .summary("show what a running runtime serves, and how it is")
    .description(
      "Shows the runtime's version and app, and for each component its blocks, features, durability and health; for bindings their operations.",
    )
    .action(async (flags) => (await import("../info.js")).info(flags))
    .addHelpText(
      "after",
      `
Durability is what an answered write survives: PROCESS nothing, HOST a crash of the host, REPLICATED the loss of a host.
Exit code: 1 when a component is unhealthy, so that a script can ask.

Examples:
  $ mecha info
  $ mecha info --endpoint http://127.0.0.1:3700
  $ mecha info --json | jq -r '.components[].name'
  $ mecha info --json | jq '.components[] | select(.name == "shop-api") | .blocks[].operations'`,
    );
}
