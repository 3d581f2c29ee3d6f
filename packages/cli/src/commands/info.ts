import { InvalidArgumentError, Option } from "@commander-js/extra-typings";
import { createClientCommand } from "../client-options.js";
import { parseDuration } from "../parse.js";

/** `mecha info`: what a running runtime is and serves. */
export function createInfoCommand() {
  return createClientCommand("info")
    .summary("show what a running runtime serves, and how it is")
    .description(
      "Shows the runtime's version and app, and for each component its blocks, features, durability and health; for bindings their operations.",
    )
    .option(
      "-w, --watch",
      "show it again and again, with what changed, until Ctrl-C; a runtime that is away is waited for",
    )
    .addOption(
      new Option("--interval <duration>", "how often, 100ms or more (default: 1s)")
        .argParser(parseInterval)
        .implies({ watch: true }),
    )
    .action(async ({ watch, interval = 1_000, ...flags }) => {
      if (watch) await (await import("../info/watch.js")).watch({ ...flags, intervalMs: interval });
      else await (await import("../info/info.js")).info(flags);
    })
    .addHelpText(
      "after",
      `
Durability is what an answered write survives: PROCESS nothing, HOST a crash of the host, REPLICATED the loss of a host.
Exit code: 1 when a component is unhealthy, so that a script can ask. With --watch: 0 after Ctrl-C.

With --watch a terminal is drawn again in place, a pipe gets block after block, and with --json one line each time: what the runtime says
and the "time", or "awaySince" and "error" while it does not answer.

Examples:
  $ mecha info
  $ mecha info --endpoint http://127.0.0.1:3700
  $ mecha info -e unix:$PWD/.mecha/admin.sock    beside mecha run, whose token only the app has
  $ mecha info --watch --interval 250ms
  $ mecha info --json | jq -r '.components[].name'
  $ mecha info --json | jq '.components[] | select(.name == "shop-api") | .blocks[].operations'`,
    );
}

function parseInterval(text: string): number {
  const ms = parseDuration(text);
  if (ms >= 100) return ms;
  throw new InvalidArgumentError("ask every 100ms or less often.");
}
