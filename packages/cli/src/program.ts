import { Command } from "@commander-js/extra-typings";
import { createCaCommand } from "./commands/ca.js";
import { createCheckCommand } from "./commands/check.js";
import { createDeadLettersCommand } from "./commands/deadletters.js";
import { createInfoCommand } from "./commands/info.js";
import { createInitCommand } from "./commands/init.js";
import { createInvokeBindingCommand } from "./commands/invoke-binding.js";
import { createOutboxCommand } from "./commands/outbox.js";
import { createPolicyCommand } from "./commands/policy.js";
import { createPublishCommand } from "./commands/publish.js";
import { createRunCommand } from "./commands/run.js";
import { createSchemaCommand } from "./commands/schema.js";
import { createServeCommand } from "./commands/serve.js";
import { createStateCommand } from "./commands/state.js";
import { createSubscribeCommand } from "./commands/subscribe.js";
import { createUpCommand } from "./commands/up.js";

/** The `mecha` command. What a command needs is loaded when it runs, so that `--help` and `--version` answer at once. */
export function createProgram(version: string) {
  const program = new Command("mecha")
    .description("Building blocks for distributed applications, in any language, over the infrastructure you have.")
    .version(version, "-V, --version", "print the version")
    .helpOption("-h, --help", "print help; `mecha <command> --help` prints a command's, with examples")
    .helpCommand(false)
    .enablePositionalOptions()
    .showHelpAfterError("(--help shows how, with examples)")
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error:/, "mecha:")) })
    .exitOverride()
    .addHelpText(
      "after",
      `
Start here:
  $ mecha run --app-id shop -- node app.js     your app, with a runtime beside it
  $ mecha serve --app-id shop                  the runtime alone
  $ mecha up                                   several apps, as mecha.yaml describes them
  $ mecha state set greeting hello             talk to it from another terminal
  $ mecha subscribe orders                     watch the events of a topic

Colours follow the terminal, NO_COLOR and FORCE_COLOR; MECHA_DEBUG=1 adds the stack to an error.`,
    );
  const commands = [
    createRunCommand(),
    createServeCommand(),
    createUpCommand(),
    createInitCommand(),
    createCheckCommand(),
    createSchemaCommand(),
    createPolicyCommand(),
    createInfoCommand(),
    createStateCommand(),
    createPublishCommand(),
    createSubscribeCommand(),
    createDeadLettersCommand(),
    createOutboxCommand(),
    createInvokeBindingCommand(),
    createCaCommand(),
  ];
  for (const command of commands) {
    command.copyInheritedSettings(program);
    for (const subcommand of command.commands) subcommand.copyInheritedSettings(program);
    program.addCommand(command);
  }
  return program;
}
