import { Command } from "@commander-js/extra-typings";

/** `mecha check`: what is wrong with resource files. */
export function createCheckCommand() {
  return new Command("check")
    .summary("say what is wrong with resource files")
    .description(
      "Checks resources as a runtime would when it starts, but starts nothing. Tells every error with its file and line.",
    )
    .argument("[paths...]", "files, or folders with them (default: mecha.yaml and mecha/, as far as they are there)")
    .option("--json", "print JSON, for scripts")
    .action(async (paths, flags) => (await import("../check.js")).check(paths, flags))
    .addHelpText(
      "after",
      `
References to environment variables and to secrets in the stores "env" and "file" are looked up; whether a server answers is not asked.
Exit code: 1 when something is wrong.

Examples:
  $ mecha check
  $ mecha check deploy/mecha.yaml
  $ mecha check --json | jq -r '.problems[].message'`,
    );
}
