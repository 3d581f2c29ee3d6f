// Folders with Apps for `mecha up`, whose programs are small Node scripts.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Running, start, temporaryFolder } from "./cli.js";

/** An App: its program, and what its spec says beside the command. */
export interface TestApp {
  script: string;
  spec?: Record<string, unknown>;
}

/** A folder with a `mecha.yaml` of these Apps. */
export async function appsFolder(apps: Record<string, TestApp>): Promise<AsyncDisposable & { path: string }> {
  const folder = await temporaryFolder();
  const documents = Object.entries(apps).map(([name, { spec }]) =>
    JSON.stringify({
      apiVersion: "mecha.dev/v1",
      kind: "App",
      metadata: { name },
      spec: { command: [process.execPath, `${name}.mjs`], ...spec },
    }),
  );
  await writeFile(join(folder.path, "mecha.yaml"), documents.join("\n---\n"));
  for (const [name, { script }] of Object.entries(apps)) await writeFile(join(folder.path, `${name}.mjs`), script);
  return folder;
}

/** `mecha up` in a folder. */
export function up(folder: { path: string }, ...args: string[]): Running {
  return start(["up", ...args], { cwd: folder.path });
}

/** The start of a script: what calls another app by its id, and a server on PORT that says `up` once it listens. */
export const prelude = `
import { createServer } from "node:http";
export const call = async (app, path) => {
  const headers = { "mecha-token": process.env.MECHA_API_TOKEN };
  const response = await fetch(process.env.MECHA_ENDPOINT + "/invoke/" + app + path, { headers });
  return response.status + " " + await response.text();
};
export const serve = (handle) => createServer(handle).listen(Number(process.env.PORT), "127.0.0.1", () => console.log("up", process.pid));
`;

/** Does nothing until it is stopped. */
export const idle = "setInterval(() => {}, 1000); console.log('up', process.pid);";

/** The process ids that apps said, by their names. */
export function processIds(output: string): Map<string, number> {
  const matches = output.matchAll(/^(\S+) +│ up (\d+)$/gm);
  return new Map([...matches].map(([, name = "", processId]) => [name, Number(processId)]));
}
