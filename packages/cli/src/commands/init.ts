import { Command } from "@commander-js/extra-typings";

/** `mecha init`: a resource file to start from. */
export function createInitCommand() {
  return new Command("init")
    .summary("write a commented mecha.yaml to start from")
    .description("Writes a resource file that says what you can say in one. Never overwrites a file.")
    .argument("[file]", "where to write it", "mecha.yaml")
    .action(async (file) => (await import("../init.js")).init(file))
    .addHelpText(
      "after",
      `
Examples:
  $ mecha init
  $ mecha init deploy/mecha.yaml
  $ mecha check        after you changed it`,
    );
}
