import { Command } from "@commander-js/extra-typings";

/** `mecha schema`: what editors check resource files by. */
export function createSchemaCommand() {
  return new Command("schema")
    .summary("print the JSON Schema of resource files, for editors")
    .description(
      "Prints the JSON Schema of resource files, with the options of every component type that the CLI brings along.",
    )
    .action(async () => (await import("../schema.js")).schema())
    .addHelpText(
      "after",
      `
Examples:
  $ mecha schema > .mecha.schema.json
  and as the first line of mecha.yaml:
  # yaml-language-server: $schema=.mecha.schema.json`,
    );
}
