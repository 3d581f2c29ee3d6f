// Starts apps as `mecha run` does it: each with a runtime beside it.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { join } from "node:path";
import { until } from "./narrator.ts";

const folder = join(import.meta.dirname, "../..");

/** What all apps of the story share. */
export interface Surroundings {
  /** Resource files; nothing else says where state and events are kept. */
  readonly resources: readonly string[];
  readonly dataDir: string;
  readonly env: Readonly<Record<string, string>>;
}

/** One app and the runtime beside it. */
export class App implements AsyncDisposable {
  readonly url: string;
  readonly #id: string;
  readonly #port: number;
  readonly #surroundings: Surroundings;
  #process: ChildProcess | undefined;

  private constructor(id: string, port: number, surroundings: Surroundings) {
    this.url = `http://127.0.0.1:${port}`;
    this.#id = id;
    this.#port = port;
    this.#surroundings = surroundings;
  }

  static async start(id: string, surroundings: Surroundings): Promise<App> {
    const app = new App(id, await freePort(), surroundings);
    await app.start();
    return app;
  }

  async start(): Promise<void> {
    const { resources, dataDir, env } = this.#surroundings;
    const runtime = ["run", "--app-id", this.#id, "--port", "0", "--app-port", String(this.#port)];
    const where = ["--data-dir", dataDir, "--log-level", "warn", "--resources", ...resources];
    const app = ["--", process.execPath, `src/apps/${this.#id}.ts`];
    const started = spawn(join(folder, "node_modules/.bin/mecha"), [...runtime, ...where, ...app], {
      cwd: folder,
      env: { ...process.env, ...env, PORT: String(this.#port) },
      stdio: ["ignore", "inherit", "inherit"],
    });
    this.#process = started;
    await until(`the app "${this.#id}" answers`, async () => {
      if (started.exitCode !== null) throw new Error(`the app "${this.#id}" ended with exit code ${started.exitCode}`);
      return await fetch(this.url).then(
        () => true,
        () => false,
      );
    });
  }

  /** SIGKILL: no time to say goodbye. */
  async crash(): Promise<void> {
    await this.#end("SIGKILL");
    await until(`the app "${this.#id}" is gone`, () =>
      fetch(this.url).then(
        () => false,
        () => true,
      ),
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#end("SIGTERM");
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const ending = this.#process;
    this.#process = undefined;
    if (ending === undefined || ending.exitCode !== null) return;
    const exited = once(ending, "exit");
    ending.kill(signal);
    await exited;
  }
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, "close");
  return port;
}
