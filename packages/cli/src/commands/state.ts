import { Command, Option } from "@commander-js/extra-typings";
import { createClientCommand } from "../client-options.js";
import { exitCodes } from "../errors.js";
import { parseCount, parseDuration } from "../parse.js";

/** `mecha state`: the state block from a shell. */
export function createStateCommand() {
  const command = new Command("state")
    .summary("read and write state: get, set, delete, list, watch")
    .description("Reads and writes the keys and values of the app that the runtime serves.")
    .helpCommand(false)
    .addHelpText("after", "\nEach has its own help: mecha state set --help");
  for (const subcommand of [createGet(), createSet(), createDelete(), createList(), createWatch()]) {
    command.addCommand(subcommand);
  }
  return command;
}

function createStateSubcommand(name: string) {
  return createClientCommand(name).addOption(
    new Option("--store <component>", "the component").default("", "the runtime's default"),
  );
}

function createWriteSubcommand(name: string) {
  return createStateSubcommand(name)
    .addOption(new Option("--if-match <etag>", "only if the item has this etag").conflicts(["ifExists", "ifAbsent"]))
    .addOption(new Option("--if-exists", "only if the key is there").conflicts("ifAbsent"))
    .addOption(
      new Option("--request-id <id>", "safe to send again: the same id within 10 minutes writes once").default(
        "",
        "none",
      ),
    );
}

function createGet() {
  return createStateSubcommand("get")
    .summary("print a value")
    .description("Prints the value as it is stored, byte for byte; with --json also its etag and media type.")
    .argument("<key>")
    .action(async (key, flags) => (await import("../state/actions.js")).get(key, flags))
    .addHelpText(
      "after",
      `
Exit code: ${exitCodes.absent} when there is no such key.

Examples:
  $ mecha state get order-1
  $ mecha state get photo > photo.jpg
  $ mecha state get order-1 --json | jq .value.total`,
    );
}

function createSet() {
  return createWriteSubcommand("set")
    .summary("write a value, and print its etag")
    .description("Writes a value: the argument, a file, or standard input. Prints the new etag.")
    .argument("<key>")
    .argument("[value]")
    .option("-f, --file <path>", 'take the value from a file; "-" is standard input')
    .option("--content-type <type>", "its media type (default: JSON if it is JSON, else text, else bytes)")
    .option("--if-absent", "only if the key is not there")
    .addOption(
      new Option("--ttl <duration>", "how long it lives: 250ms, 30s, 10m, 1.5h, 7d (default: for ever)").argParser(
        parseDuration,
      ),
    )
    .action(async (key, value, flags) => (await import("../state/actions.js")).set(key, value, flags))
    .addHelpText(
      "after",
      `
Exit code: ${exitCodes.conflict} when a condition did not hold; nothing was written.

Examples:
  $ mecha state set greeting hello
  $ mecha state set order-1 '{"item": "teapot", "quantity": 1}'
  $ mecha state set photo --file photo.jpg --content-type image/jpeg
  $ date | mecha state set last-run --ttl 1h
  $ etag=$(mecha state set order-1 '{"quantity": 2}')
  $ mecha state set order-1 '{"quantity": 3}' --if-match "$etag"`,
    );
}

function createDelete() {
  return createWriteSubcommand("delete")
    .summary("delete a key")
    .description("Deletes a key. One that is not there is no error.")
    .argument("<key>")
    .action(async (key, flags) => (await import("../state/actions.js")).remove(key, flags))
    .addHelpText(
      "after",
      `
Exit code: ${exitCodes.conflict} when a condition did not hold; nothing was deleted.

Examples:
  $ mecha state delete order-1
  $ mecha state delete order-1 --if-match "$etag"`,
    );
}

function createList() {
  return createStateSubcommand("list")
    .summary("list keys and values")
    .description("Lists what is stored, in the order of the keys' bytes. With --json one document per line.")
    .argument("[prefix]", "only keys that begin with it", "")
    .option("--keys-only", "leave the values out")
    .addOption(
      new Option("--limit <number>", "how many at the most")
        .argParser(parseCount)
        .default(Number.POSITIVE_INFINITY, "all"),
    )
    .action(async (prefix, flags) => (await import("../state/actions.js")).list(prefix, flags))
    .addHelpText(
      "after",
      `
Examples:
  $ mecha state list
  $ mecha state list order- --limit 10
  $ mecha state list order- --json | jq -r .key`,
    );
}

function createWatch() {
  return createStateSubcommand("watch")
    .summary("print what is there and what changes")
    .description(
      "Prints what is there, then every change as it happens, until you stop it. With --json one document per line.",
    )
    .argument("[key]", "one key (default: every key)")
    .addOption(new Option("--prefix <prefix>", "every key that begins with it"))
    .addOption(
      new Option("--resume-token <token>", "go on after the change that bore this token (see --json)").default(
        "",
        "none",
      ),
    )
    .option("--until-synced", "end when everything that is there has been printed")
    .action(async (key, flags) => (await import("../state/actions.js")).watch(key, flags))
    .addHelpText(
      "after",
      `
Examples:
  $ mecha state watch
  $ mecha state watch order-1
  $ mecha state watch --prefix order- --json | jq -c '[.type, .key]'`,
    );
}
