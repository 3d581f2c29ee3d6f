import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";

/** An authority in a process of its own, which is killed after the test if it has not killed itself. */
export async function spawnAuthority(folder: string, dieAt = "") {
  const program = fileURLToPath(new URL("./serve-authority.ts", import.meta.url));
  const child = spawn(process.execPath, [program, folder, dieAt], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "exit");
  onTestFinished(() => {
    child.kill("SIGKILL");
    return ended.then(() => {});
  });
  const [endpoint] = await Promise.race([
    once(child.stdout, "data"),
    ended.then(() => Promise.reject(new Error("it ended"))),
  ]);
  return { endpoint: String(endpoint).trim(), ended: ended.then(([, signal]) => signal as NodeJS.Signals) };
}
