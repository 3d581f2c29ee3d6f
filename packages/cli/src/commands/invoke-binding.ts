import { Option } from "@commander-js/extra-typings";
import { createClientCommand } from "../client-options.js";
import { parsePair } from "../parse.js";

/** `mecha invoke-binding`: one operation of a binding from a shell. */
export function createInvokeBindingCommand() {
  return createClientCommand("invoke-binding")
    .summary("do one operation of a binding: call a service, read a file, send a mail")
    .description(
      "Does one operation of a binding and prints what came of it. `mecha info` lists bindings with their operations.",
    )
    .argument("<binding>", "the component")
    .argument("<operation>", "one of its operations")
    .argument("[data]", 'what to do it with; "-" is standard input, "@path" a file (default: nothing)')
    .addOption(
      new Option("-m, --metadata <name=value>", "a parameter of the operation; may be given several times")
        .argParser(parsePair)
        .default({} as Record<string, string>, "none"),
    )
    .option("--content-type <type>", "the data's media type (default: JSON if it is JSON, else text, else bytes)")
    .action(async (binding, operation, data, flags) =>
      (await import("../invoke-binding.js")).invokeBinding(binding, operation, data, flags),
    )
    .addHelpText(
      "after",
      `
Prints the data of the answer, byte for byte; with --json also its media type and metadata.
Exit code: 1 when the operation failed. What it answers with, an HTTP status of 500 too, is no failure: see --json.

Examples:
  $ mecha invoke-binding shop-api get --metadata path=/orders/7
  $ mecha invoke-binding shop-api post '{"item": "teapot"}' -m path=/orders -m header.idempotency-key=k1
  $ mecha invoke-binding files write @report.pdf -m path=reports/today.pdf
  $ date | mecha invoke-binding files write - -m path=last-run.txt
  $ mecha invoke-binding shop-api get -m path=/orders/7 --json | jq .metadata.status`,
    );
}
