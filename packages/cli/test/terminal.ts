// `mecha` as a person has it: on a terminal.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { locate } from "@mecha/test-servers";

const program = join(import.meta.dirname, "../dist/mecha.js");

/** Runs `mecha` on a terminal: script(1) makes one. */
export function onTerminal(args: string[], cwd: string) {
  const quoted = [process.execPath, program, ...args].map((arg) => `'${arg.replaceAll("'", "'\\''")}'`).join(" ");
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, TERM: "xterm" };
  const child = spawn(locate("script"), ["-qec", `exec ${quoted}`, "/dev/null"], {
    cwd,
    env,
    stdio: ["pipe", "pipe", "inherit"],
  });
  const terminal = {
    output: "",
    type: (keys: string) => child.stdin.write(keys),
    exitCode: new Promise<number | null>((resolve) => child.on("close", resolve)),
    [Symbol.dispose]: () => child.kill("SIGKILL"),
  };
  child.stdout.on("data", (chunk: Buffer) => {
    terminal.output += chunk.toString();
  });
  return terminal;
}

/** What a person reads: without colours. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what colours are made of.
export const plain = (text: string) => text.replaceAll(/\u001b\[\d+m/g, "").replaceAll("\r", "");
