import { Command, Option } from "@commander-js/extra-typings";
import { createClientCommand } from "../client-options.js";
import { parseCount } from "../parse.js";

/** `mecha outbox`: the events of transactions that another component has refused. */
export function createOutboxCommand() {
  const command = new Command("outbox")
    .summary("list, requeue and drop events of transactions that a pubsub refused")
    .description(
      "Events that a transaction of the app published to another component, and that it refused for good. What only waits is no matter: mecha info counts it, and it goes by itself.",
    )
    .helpCommand(false)
    .addHelpText("after", "\nEach has its own help: mecha outbox requeue --help");
  for (const subcommand of [createList(), createRequeue(), createDrop()]) command.addCommand(subcommand);
  return command;
}

function createSubcommand(name: string) {
  return createClientCommand(name)
    .addOption(new Option("--store <component>", "the component that keeps the state").default("", "the default store"))
    .addOption(
      new Option("--pubsub <component>", "the component that the events are for").default("", "the default pubsub"),
    );
}

function createSelectionSubcommand(name: string) {
  return createSubcommand(name)
    .addOption(new Option("--id <id...>", "these, as list tells them").conflicts("all"))
    .option("--all", "all that there are now");
}

function createList() {
  return createSubcommand("list")
    .summary("list what was refused, oldest first")
    .description(
      "Lists what was refused and why, oldest first. With --json one document per line, the event as a CloudEvent.",
    )
    .addOption(
      new Option("--limit <number>", "how many at the most")
        .argParser(parseCount)
        .default(Number.POSITIVE_INFINITY, "all"),
    )
    .action(async (flags) => (await import("../outbox.js")).list(flags))
    .addHelpText(
      "after",
      `
Examples:
  $ mecha outbox list
  $ mecha outbox list --store orders-db --pubsub events --json | jq '{id: .deadLetterId, error, topic}'`,
    );
}

function createRequeue() {
  return createSelectionSubcommand("requeue")
    .summary("hand them over again")
    .description("Hands refused events over again, once the reason is gone. Prints how many there were.")
    .action(async (flags) => (await import("../outbox.js")).requeue(flags))
    .addHelpText(
      "after",
      "\nExamples:\n  $ mecha outbox requeue --all\n  $ mecha outbox requeue --id 0000000000000007",
    );
}

function createDrop() {
  return createSelectionSubcommand("drop")
    .summary("forget them")
    .description("Forgets refused events: they are never published. Prints how many there were.")
    .action(async (flags) => (await import("../outbox.js")).drop(flags))
    .addHelpText("after", "\nExamples:\n  $ mecha outbox drop --id 0000000000000007\n  $ mecha outbox drop --all");
}
