// `pnpm start [example] [argument…]`: builds what is missing, then runs an example, by default the quickstart, beside runtimes of its own.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";

const [example = "quickstart", ...args] = process.argv.slice(2);
const examples = readdirSync(new URL("../examples", import.meta.url));
if (!examples.includes(example)) {
  process.stderr.write(`There is no example "${example}"; there are: ${examples.join(", ")}.\n`);
  process.exit(2);
}

const onTerminal = process.stdout.isTTY === true;
const build = [
  "run",
  "build",
  `--filter=@mecha/example-${example}...`,
  "--output-logs=errors-only",
  "--log-prefix=none",
];

if (onTerminal) process.stdout.write("Building what is missing; the first time takes a minute …");
const built = spawnSync("turbo", build, { encoding: "utf8" });
if (onTerminal) process.stdout.write("\r\u001b[K");
if (built.status === 0) {
  const run = ["--silent", "--filter", `@mecha/example-${example}`, "start", ...args];
  process.exitCode = spawnSync("pnpm", run, { stdio: "inherit" }).status ?? 1;
} else {
  process.stderr.write(`The build failed:\n${built.stdout}${built.stderr}${built.error?.message ?? ""}\n`);
  process.exitCode = 1;
}
