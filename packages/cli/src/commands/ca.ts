import { Command, InvalidArgumentError, Option } from "@commander-js/extra-typings";
import { parseDuration } from "../parse.js";
import { createLogLevelOption, createNamespaceOption, defaultHost, parseDnsLabel, parsePort } from "../settings.js";

/** `mecha ca`: an authority that proves to the runtimes of several hosts who they are. */
export function createCaCommand() {
  const command = new Command("ca")
    .summary("an authority for the runtimes of several hosts: make it, let runtimes enrol, serve it")
    .description(
      "Runtimes prove to one another who they are by certificates of one authority. On one host the data directory has one by itself; for " +
        "several hosts make one here, serve it, and give each runtime a token to enrol with.",
    )
    .helpCommand(false)
    .addHelpText(
      "after",
      `
Each has its own help: mecha ca token --help

From nothing to two hosts:
  ca$ mecha ca init --trust-domain shop.example
  ca$ mecha ca serve --host 0.0.0.0
  ca$ mecha ca token --app orders > orders.token
  a$  mecha run --app-id orders --app-port 8080 --mesh-host 0.0.0.0 --ca ca.shop.example:3602 --enroll-token-file orders.token -- node orders.js`,
    );
  for (const subcommand of [createInit(), createToken(), createTokens(), createRevoke(), createServe()]) {
    command.addCommand(subcommand);
  }
  return command;
}

function createSubcommand(name: string) {
  return new Command(name).addOption(
    new Option("--dir <folder>", "where the authority is").env("MECHA_CA_DIR").default("ca"),
  );
}

function createInit() {
  return createSubcommand("init")
    .summary("make an authority")
    .description(
      "Makes an authority in a new folder (0700): its key (0600) and its certificate, good for ten years. Whoever can read the key can be any app.",
    )
    .addOption(
      new Option("--trust-domain <name>", "whom it vouches for; a domain of your own is unique").default(
        "mecha.internal",
      ),
    )
    .action(async ({ dir, trustDomain }) => (await import("../ca.js")).init(dir, trustDomain))
    .addHelpText(
      "after",
      "\nExamples:\n  $ mecha ca init --trust-domain shop.example\n  $ mecha ca init --dir /var/lib/ca",
    );
}

function createToken() {
  return createSubcommand("token")
    .summary("make a token with which one runtime of an app enrols")
    .description("Prints a token with which one runtime of one app may enrol, once. It is nowhere else.")
    .requiredOption("--app <id>", "the app that the runtime is for", parseDnsLabel)
    .addOption(createNamespaceOption())
    .addOption(
      new Option("--ttl <duration>", "how long it is good for, 1s to 24h").argParser(parseTtl).default(900_000, "15m"),
    )
    .option("--json", "print JSON, for scripts")
    .action(async (flags) => (await import("../ca.js")).token(flags))
    .addHelpText(
      "after",
      `
Examples:
  $ mecha ca token --app orders > orders.token
  $ MECHA_ENROLL_TOKEN=$(ssh ca mecha ca token --app orders --ttl 1m) mecha serve --app-id orders --ca ca.shop.example:3602`,
    );
}

function createTokens() {
  return createSubcommand("tokens")
    .summary("list the tokens that can be used still")
    .description("Lists the tokens that can be used still, those that expire first first. What they are is not kept.")
    .option("--json", "print JSON, one line a token, for scripts")
    .action(async ({ dir, json }) => (await import("../ca.js")).tokens(dir, json === true))
    .addHelpText("after", "\nExamples:\n  $ mecha ca tokens");
}

function createRevoke() {
  return createSubcommand("revoke")
    .summary("make a token useless")
    .description("Makes a token useless, by its id. A runtime that has enrolled with it stays enrolled.")
    .argument("<id>", "as mecha ca tokens tells it")
    .action(async (id, { dir }) => (await import("../ca.js")).revoke(dir, id))
    .addHelpText("after", "\nExamples:\n  $ mecha ca revoke 0123456789abcdef");
}

function createServe() {
  return createSubcommand("serve")
    .summary("serve the authority to runtimes")
    .description(
      "Serves the authority: runtimes enrol with it, and renew their certificates at half of their 24 hours. Tokens that are made meanwhile are good " +
        "at once. While it is away runtimes go on with the certificates that they have.",
    )
    .addOption(
      new Option("--host <address>", `the address to listen on (default: ${defaultHost}: this machine only)`).env(
        "MECHA_CA_HOST",
      ),
    )
    .addOption(
      new Option("-p, --port <number>", "the TCP port to listen on (default: 3602)")
        .env("MECHA_CA_PORT")
        .argParser(parsePort),
    )
    .addOption(createLogLevelOption("info"))
    .action(async (flags) => (await import("../ca.js")).serve(flags))
    .addHelpText(
      "after",
      "\nThe first SIGINT, SIGTERM or SIGHUP lets calls in flight finish. A second one ends it at once.\n\nExamples:\n  $ mecha ca serve --host 0.0.0.0",
    );
}

function parseTtl(text: string): number {
  const ms = parseDuration(text);
  if (ms >= 1_000 && ms <= 86_400_000) return ms;
  throw new InvalidArgumentError("a token is good for 1s to 24h.");
}
