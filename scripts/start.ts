// `pnpm start`: builds what is missing, then runs the quickstart beside a runtime of its own.
import { spawnSync } from "node:child_process";

const onTerminal = process.stdout.isTTY === true;
const build = [
  "run",
  "build",
  "--filter=@mecha/example-quickstart...",
  "--output-logs=errors-only",
  "--log-prefix=none",
];

if (onTerminal) process.stdout.write("Building what is missing; the first time takes a minute …");
const built = spawnSync("turbo", build, { encoding: "utf8" });
if (onTerminal) process.stdout.write("\r\u001b[K");
if (built.status === 0) {
  const quickstart = ["--silent", "--filter", "@mecha/example-quickstart", "start"];
  process.exitCode = spawnSync("pnpm", quickstart, { stdio: "inherit" }).status ?? 1;
} else {
  process.stderr.write(`The build failed:\n${built.stdout}${built.stderr}${built.error?.message ?? ""}\n`);
  process.exitCode = 1;
}
