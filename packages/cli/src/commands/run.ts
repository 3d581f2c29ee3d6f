import { resolve } from "node:path";
import { Option } from "@commander-js/extra-typings";
import { exitCodes } from "../errors.js";
import { defaultRestart, restartPolicies } from "../run/restart.js";
import { createRuntimeCommand, resolveRuntimeSettings } from "../settings.js";

/** `mecha run`: an app and the runtime beside it. */
export function createRunCommand() {
  return createRuntimeCommand("run")
    .summary("run an app with a runtime beside it")
    .description(
      "Starts a runtime, waits until it is ready, starts your app and tells it where the runtime is. Stops both when the app " +
        "ends, and exits with the app's exit code.",
    )
    .argument("<command...>", "the app and its arguments")
    .addOption(
      new Option("--restart <policy>", "whether the app is started anew when it ends")
        .choices(restartPolicies)
        .default("never" as const),
    )
    .option(
      "--watch <path>",
      "starts the app anew when something changes in this file or folder; may be repeated",
      (path: string, before: string[] = []) => [...before, resolve(path)],
    )
    .passThroughOptions()
    .action(async ([command = "", ...args], flags) => {
      const settings = resolveRuntimeSettings(flags);
      const { run } = await import("../run/run.js");
      const code = await run({
        settings,
        command,
        args,
        portIsChosen: flags.port !== undefined,
        restart: { ...defaultRestart, policy: flags.restart },
        watch: flags.watch ?? [],
      });
      process.exit(code);
    })
    .addHelpText(
      "after",
      `
The app finds these in its environment:
  MECHA_ENDPOINT   where the runtime listens (http://127.0.0.1:3600, or another port when 3600 is busy)
  MECHA_APP_ID     its app id
  MECHA_API_TOKEN  what proves that a call comes from it; the clients send it by themselves
  MECHA_APP_TOKEN  what proves to it that a request comes from the runtime: "authorization: Bearer …" on what subscriptions post

With --restart an app that ends is started anew: after 0.5 s, and twice as long each further time, up to 30 s; once it ran for 10 s the count
begins anew. With --watch it is stopped and started at every change, and waits for one when it has ended. Its runtime runs on meanwhile.

Exit code: the app's; 128 + n when signal n ended it; ${exitCodes.failed} when the runtime could not start or was lost.
SIGINT, SIGTERM and SIGHUP go on to the app; a second one ends everything at once.

Examples:
  $ mecha run --app-id shop -- node app.js            on the embedded sqlite, in .mecha/
  $ mecha run --app-id shop -r mecha.yaml -- go run . on what mecha.yaml says
  $ mecha run --app-id shop --restart on-failure --watch src -- node src/app.ts
  $ mecha run --app-id shop -- npm start > app.log    stdout is the app's alone; the runtime logs to stderr
`,
    );
}
