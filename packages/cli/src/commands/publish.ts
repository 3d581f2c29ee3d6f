import { Option } from "@commander-js/extra-typings";
import { createClientCommand } from "../client-options.js";
import { exitCodes } from "../errors.js";
import { parseDuration, parsePair } from "../parse.js";

/** `mecha publish`: events from a shell. */
export function createPublishCommand() {
  return createClientCommand("publish")
    .summary("publish an event, or one for each line of a file")
    .description("Publishes an event to a topic, and prints its id once it is durable.")
    .argument("<topic>")
    .argument("[data]", 'the data; "-" is standard input, "@path" a file (default: none)')
    .option("--type <type>", "what happened: order.placed (default: the topic)")
    .option("--source <uri>", "where it comes from (default: the app)")
    .option("--subject <subject>", "what it happened to")
    .option("--id <id>", "unique within the source (default: a new one)")
    .option("--content-type <type>", "the data's media type (default: JSON if it is JSON, else text, else bytes)")
    .addOption(
      new Option("-x, --extension <name=value>", "a CloudEvents extension; may be given several times")
        .argParser(parsePair)
        .default({} as Record<string, string>, "none"),
    )
    .addOption(new Option("--key <key>", "events of one key are delivered in order to groups that are ordered"))
    .addOption(
      new Option("--delay <duration>", "deliver it no sooner than this from now: 30s, 10m")
        .argParser(parseDuration)
        .conflicts("key"),
    )
    .addOption(new Option("--ttl <duration>", "drop it if it was not delivered by then").argParser(parseDuration))
    .addOption(new Option("--request-id <id>", "safe to send again: the same id within 10 minutes publishes once"))
    .addOption(new Option("--pubsub <component>", "the component").default("", "the runtime's default"))
    .addOption(
      new Option(
        "--many <file>",
        'an event for each line of a file, whose JSON is its data; "-" is standard input',
      ).conflicts(["id", "contentType", "requestId"]),
    )
    .action(async (topic, data, flags) => (await import("../pubsub/publish.js")).publish(topic, data, flags))
    .addHelpText(
      "after",
      `
With --many the lines are published in their order, some at a time. The first that fails ends it: those before it are published, and its number
is told. With --json each event's outcome is a line.
Exit code: ${exitCodes.failed} when an event was not published.

Examples:
  $ mecha publish orders '{"item": "teapot"}' --type order.placed --key customer-7
  $ mecha publish photos @photo.jpg --content-type image/jpeg --subject order-1
  $ mecha publish reminders '"call back"' --delay 10m
  $ jq -c '.[]' orders.json | mecha publish orders --many -`,
    );
}
