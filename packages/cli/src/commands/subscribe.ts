import { Option } from "@commander-js/extra-typings";
import { createClientCommand } from "../client-options.js";
import { exitCodes } from "../errors.js";
import { parseCount, parseStart } from "../parse.js";

/** `mecha subscribe`: a topic, watched from a shell. */
export function createSubscribeCommand() {
  return createClientCommand("subscribe")
    .summary("print the events of a topic as they come")
    .description(
      "Prints the events of a topic as they come, until you stop it: in colours on a terminal, else as one CloudEvent in JSON per line. " +
        "Takes no event from the app: without --group it has a group of its own, which is gone when it ends.",
    )
    .argument("<topic>")
    .option(
      "--group <name>",
      "share the events of this group of the app: what is printed here its other consumers do not get",
    )
    .option("--filter <expression>", "only what this CEL expression matches: data.total > 100")
    .addOption(
      new Option("--from <time>", '"earliest", or a time (default: what is published from now on)').argParser(
        parseStart,
      ),
    )
    .addOption(new Option("-n, --limit <number>", "end after so many events").argParser(parseCount))
    .addOption(new Option("--once", "end after the first event").conflicts("limit"))
    .option("--no-ack", "only look: what a --group has waiting is handed back when this ends, as if it never came")
    .addOption(new Option("--pubsub <component>", "the component").default("", "the runtime's default"))
    .action(async (topic, flags) => (await import("../pubsub/subscribe.js")).subscribe(topic, flags))
    .addHelpText(
      "after",
      `
A group keeps its settings: --filter and --from for a --group that has others are refused.
With --no-ack at most 1000 events are shown: what is not acked counts against what a consumer may hold.
Exit code: ${exitCodes.failed} when the runtime ends it.

Examples:
  $ mecha subscribe orders
  $ mecha subscribe orders --filter 'event.type == "order.placed" && data.total > 100'
  $ mecha subscribe orders --from earliest --once --json | jq .data
  $ mecha subscribe orders --group shop --no-ack      what waits for the app`,
    );
}
