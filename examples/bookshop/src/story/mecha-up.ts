// Runs the apps by `mecha up`, and reads what it says in JSON.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { delimiter, dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { until } from "./narrator.ts";

const folder = join(import.meta.dirname, "../..");
const mecha = join(folder, "node_modules/.bin/mecha");

/** `node` is the one that runs the story, for `mecha` and for the apps. */
const environment = { ...process.env, PATH: [dirname(process.execPath), process.env.PATH].join(delimiter) };

/** One app that runs. */
export interface RunningApp {
  /** Where the app listens. */
  readonly url: string;
  /** Where the runtime beside it does. */
  readonly runtime: string;
}

/** A line of `mecha up --json`. */
interface Line {
  readonly app: string;
  readonly stream: "stdout" | "stderr" | "runtime" | "mecha";
  readonly line: string;
  readonly port?: number;
  readonly endpoint?: string;
}

/** The apps of resource files. */
export class Apps implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #lines: Line[] = [];

  private constructor(started: ChildProcess) {
    this.#process = started;
    if (started.stdout === null) throw new Error("mecha up has no stdout");
    createInterface(started.stdout).on("line", (line) => this.#lines.push(JSON.parse(line) as Line));
  }

  /** Starts the apps of `resources`: files, and folders with them. Resolves when all are ready. */
  static async start(resources: readonly string[], dataDir: string, env: Record<string, string>): Promise<Apps> {
    const files = resources.flatMap((file) => ["--file", file]);
    const started = spawn(mecha, ["up", "--json", "--data-dir", dataDir, ...files], {
      cwd: folder,
      env: { ...environment, ...env },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const apps = new Apps(started);
    await until("all apps are ready", () => {
      if (started.exitCode !== null)
        throw new Error(`mecha up ended:\n${apps.#lines.map(({ line }) => line).join("\n")}`);
      const ready = apps.#lines.filter(({ stream, line }) => stream === "mecha" && line === "ready");
      return ready.length > 0 && ready.length === apps.names.length;
    });
    return apps;
  }

  get names(): string[] {
    return this.#lines.flatMap(({ app, endpoint }) => (endpoint === undefined ? [] : [app]));
  }

  get(name: string): RunningApp {
    const told = this.#lines.find(({ app, endpoint }) => app === name && endpoint !== undefined);
    if (told?.endpoint === undefined) throw new Error(`mecha up runs no app "${name}"`);
    return { url: `http://127.0.0.1:${told.port}`, runtime: told.endpoint };
  }

  /** What the runtimes beside some apps logged. */
  logs(...names: string[]): Record<string, unknown>[] {
    const own = this.#lines.filter(({ app, stream }) => stream === "runtime" && names.includes(app));
    return own.map(({ line }) => JSON.parse(line) as Record<string, unknown>);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const exited = once(this.#process, "exit");
    this.#process.kill("SIGTERM");
    await exited;
  }
}

/** A number of a runtime's `/metrics`, by its name and labels as they stand there; 0 if it is not there. */
export async function metric({ runtime }: RunningApp, series: string): Promise<number> {
  const text = await fetch(`${runtime}/metrics`).then((answer) => answer.text());
  const line = text.split("\n").find((line) => line.startsWith(`${series} `));
  return Number(line?.slice(series.length) ?? 0);
}

/** What another `mecha` command prints. */
export async function ask(...words: string[]): Promise<string[]> {
  const color = process.stdout.isTTY ? { FORCE_COLOR: "1" } : {};
  const { stdout } = await promisify(execFile)(mecha, words, { cwd: folder, env: { ...environment, ...color } });
  return stdout.trim().split("\n");
}
