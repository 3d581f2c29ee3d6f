// Generates the Connect conformance suite's messages, from the protos in its Go module, into conformance/gen (not committed).
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** The version of the suite; `.ci/run` installs the same one. */
export const conformanceModule = "connectrpc.com/conformance@v1.0.5";

/** Generates; needs Go's module cache or network. */
export function generateConformanceProtos(): void {
  const { Dir } = JSON.parse(run("go", "mod", "download", "-json", conformanceModule)) as { Dir: string };
  run("buf", "generate", "--template", "buf.gen.conformance.yaml", Dir);
}

function run(command: string, ...args: string[]): string {
  const cwd = fileURLToPath(new URL("..", import.meta.url));
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: "utf8" });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed: ${error?.message ?? stderr}`);
  return stdout;
}
