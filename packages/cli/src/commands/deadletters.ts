import { Command, Option } from "@commander-js/extra-typings";
import { createClientCommand } from "../client-options.js";
import { parseCount } from "../parse.js";

/** `mecha deadletters`: the events that a group gave up. */
export function createDeadLettersCommand() {
  const command = new Command("deadletters")
    .summary("list, requeue and drop events that were given up")
    .description("Events that the app rejected, or did not take within their attempts: the only place where they go.")
    .helpCommand(false)
    .addHelpText("after", "\nEach has its own help: mecha deadletters requeue --help");
  for (const subcommand of [createList(), createRequeue(), createDrop()]) command.addCommand(subcommand);
  return command;
}

function createSubcommand(name: string) {
  return createClientCommand(name)
    .argument("<topic>")
    .addOption(new Option("--group <name>", "whose they are").default("", "the app id"))
    .addOption(new Option("--pubsub <component>", "the component").default("", "the runtime's default"));
}

function createSelectionSubcommand(name: string) {
  return createSubcommand(name)
    .addOption(new Option("--id <id...>", "these, as list tells them").conflicts("all"))
    .option("--all", "all that there are now");
}

function createList() {
  return createSubcommand("list")
    .summary("list dead letters, oldest first")
    .description(
      "Lists a group's dead letters, oldest first. With --json one document per line, with the event as a CloudEvent.",
    )
    .addOption(
      new Option("--limit <number>", "how many at the most")
        .argParser(parseCount)
        .default(Number.POSITIVE_INFINITY, "all"),
    )
    .action(async (topic, flags) => (await import("../pubsub/dead-letters.js")).list(topic, flags))
    .addHelpText(
      "after",
      `
Examples:
  $ mecha deadletters list orders
  $ mecha deadletters list orders --group mail --limit 10
  $ mecha deadletters list orders --json | jq '{id: .deadLetterId, error: .lastError, data: .event.data}'`,
    );
}

function createRequeue() {
  return createSelectionSubcommand("requeue")
    .summary("deliver dead letters again")
    .description(
      "Delivers dead letters to their group again, with a fresh count of attempts. Prints how many there were.",
    )
    .action(async (topic, flags) => (await import("../pubsub/dead-letters.js")).requeue(topic, flags))
    .addHelpText(
      "after",
      `
Examples:
  $ mecha deadletters requeue orders --all
  $ mecha deadletters requeue orders --group mail --id 0000000000000007`,
    );
}

function createDrop() {
  return createSelectionSubcommand("drop")
    .summary("forget dead letters")
    .description("Forgets dead letters, for ever. Prints how many there were.")
    .action(async (topic, flags) => (await import("../pubsub/dead-letters.js")).drop(topic, flags))
    .addHelpText(
      "after",
      `
Examples:
  $ mecha deadletters drop orders --id 0000000000000007
  $ mecha deadletters drop orders --all`,
    );
}
