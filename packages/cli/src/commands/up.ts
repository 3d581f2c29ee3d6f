import { Command, InvalidArgumentError } from "@commander-js/extra-typings";
import { exitCodes } from "../errors.js";
import {
  createAccessLogOption,
  createDataDirOption,
  createLogLevelOption,
  createNamespaceOption,
} from "../settings.js";

/** `mecha up`: several apps, each with a runtime beside it. */
export function createUpCommand() {
  return new Command("up")
    .summary("run several apps, each with a runtime beside it")
    .description(
      "Starts the Apps that resources describe, each with a runtime beside it, those first that others depend on. Their output is one log. " +
        "An app that ends is started anew as its policy says; a signal stops all, those last that others depend on.",
    )
    .option(
      "-f, --file <path>",
      "a resource file, or a folder with them; may be repeated (default: mecha.yaml and mecha/, as far as they are there)",
      (path: string, before: string[] = []) => [...before, path],
    )
    .option(
      "--only <names>",
      "the Apps to start, as a,b; what they depend on beside these is taken to be there",
      parseNames,
    )
    .option("--json", "one JSON object a line: app, stream (stdout, stderr, runtime, mecha) and line")
    .addOption(createNamespaceOption())
    .addOption(createDataDirOption())
    .addOption(createLogLevelOption("warn"))
    .addOption(createAccessLogOption())
    .action(async ({ file, ...flags }) => {
      const { up } = await import("../up/up.js");
      process.exit(
        await up({
          ...flags,
          files: file,
          only: flags.only,
          json: flags.json === true,
          accessLog: flags.accessLog === true,
        }),
      );
    })
    .addHelpText(
      "after",
      `
The files hold Apps, and whatever else the runtimes run on: Components, Subscriptions, Policies. Each runtime gets all of them.

  apiVersion: mecha.dev/v1
  kind: App
  metadata: { name: reviews }             # the app id too, unless spec.appId says otherwise
  spec:
    command: [node, src/reviews.ts]
    dir: ./reviews                        # default: the folder of the file
    port: 8081                            # where it listens; auto: any free port, told to it in PORT
    dependsOn: [catalogue]                # started when these are ready, stopped before them
    restart: { policy: on-failure }       # or always, never
    watch: [src]                          # a change starts it anew
    probes: { readiness: { http: /healthz } }

Everything that is wrong in the files is told, with file and line, before anything starts.
Each app finds MECHA_ENDPOINT, MECHA_APP_ID, MECHA_API_TOKEN and MECHA_APP_TOKEN in its environment, as with mecha run.

Exit code: ${exitCodes.ok} when all ended well, or were stopped; ${exitCodes.failed} when one failed for good, or nothing could be started; 128 + n at a second signal n.

Examples:
  $ mecha up
  $ mecha up -f shop.yaml -f local.yaml
  $ mecha up --only orders,catalogue
  $ mecha up --json | jq -r 'select(.app == "orders" and .stream == "stderr").line'
`,
    );
}

function parseNames(text: string): string[] {
  const names = text.split(",").map((name) => name.trim());
  if (names.includes("")) throw new InvalidArgumentError("name Apps with commas between them: orders,catalogue.");
  return names;
}
