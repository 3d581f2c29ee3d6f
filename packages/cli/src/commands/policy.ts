import { Command, InvalidArgumentError, Option } from "@commander-js/extra-typings";
import { exitCodes } from "../errors.js";
import { parsePair } from "../parse.js";
import { parseDnsLabel } from "../settings.js";

/** `mecha policy`: what policies say. */
export function createPolicyCommand() {
  const command = new Command("policy")
    .summary("say which policies hold for a call, and why")
    .description("What the policies of resource files say. No runtime is asked, and none is started.")
    .helpCommand(false)
    .addHelpText("after", "\nIts subcommand has its own help: mecha policy explain --help");
  command.addCommand(createExplain());
  return command;
}

function createExplain() {
  return new Command("explain")
    .summary("say which policies hold for a call, and why")
    .description(
      "For each section of a Policy: what holds for the call, which policy says so and where, and which others lost and why. " +
        "Then whether access policies let it through.",
    )
    .argument("[method]", "the method of the call (default: GET)")
    .argument("[path]", "its path, as the other app gets it (default: /)")
    .addOption(new Option("--from <app>", "the app that calls").argParser(parseDnsLabel))
    .addOption(new Option("--to <app>", "the app that is called").argParser(parseDnsLabel))
    .addOption(
      new Option("--component <name>", "calls of a component instead: they have no path, method or header").conflicts([
        "from",
        "to",
        "header",
        "claim",
      ]),
    )
    .option("-H, --header <line>", "a header of the call, as 'name: value'; may be repeated", parseHeader)
    .option("--claim <name=value>", "a claim of the caller's token, for access policies; may be repeated", parsePair)
    .option("-r, --resources <paths...>", "resource files, or folders with them (default: mecha.yaml and mecha/)")
    .option("--json", "print JSON, for scripts")
    .action(async (first, second, flags) => {
      const { explain } = await import("../policy/explain.js");
      await explain({ ...parseCall(first, second), ...flags });
    })
    .addHelpText(
      "after",
      `
The most specific policy holds, section by section: by target, then by path, headers, methods and callers.
Exit code: ${exitCodes.failed} when something is wrong with the resources.

Examples:
  $ mecha policy explain --from shop --to orders POST /orders
  $ mecha policy explain --from shop --to reviews -H 'x-user: beta' /reviews/7
  $ mecha policy explain --component orders-db
  $ mecha policy explain --from shop --to orders DELETE /orders/7 --json | jq .access.allowed`,
    );
}

/** "POST /x", or the path alone. */
function parseCall(first = "/", second?: string): { method: string; path: string } {
  return first.startsWith("/") && second === undefined
    ? { method: "GET", path: first }
    : { method: first.toUpperCase(), path: second ?? "/" };
}

function parseHeader(line: string, before: Record<string, string> = {}): Record<string, string> {
  const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):\s*(.*?)\s*$/.exec(line) ?? [];
  if (name === undefined || value === undefined) throw new InvalidArgumentError("write it as 'name: value'.");
  return { ...before, [name.toLowerCase()]: value };
}
