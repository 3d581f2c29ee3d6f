import type { Writable } from "node:stream";
import type { LogStyle } from "../logger.js";
import pc from "../terminal/colors.js";
import { createLineWriter } from "./lines.js";

/** Where the two streams of one process go. */
export interface Output {
  stdout: Writable;
  stderr: Writable;
}

/** Where what an app, the runtime beside it and `mecha` itself say goes. */
export interface AppLog {
  /** How the runtime's own lines look. */
  readonly style: LogStyle;
  /** For one process of the app; undefined hands it our own streams, untouched. */
  appOutput(): Output | undefined;
  /** For one process of the runtime; undefined: our stderr. */
  runtimeOutput(): Output | undefined;
  /** A line of `mecha` about the app. */
  say(line: string): void;
}

/** `mecha` in a pipe: the app owns stdout, what it prints comes through as it is. */
export function createPlainLog(appId: string): AppLog {
  return {
    style: { pretty: false, color: pc.isColorSupported },
    appOutput: () => undefined,
    runtimeOutput: () => undefined,
    say: (line) => void process.stderr.write(`mecha: ${appId}: ${line}\n`),
  };
}

/** One app on a terminal: `shop  │ …` and `mecha │ …`. */
export function createTerminalLog(appId: string): AppLog {
  const width = Math.max(appId.length, ourName.length);
  const app = startWith(pc.cyan(appId.padEnd(width)));
  const ours = startWith(pc.magenta(ourName.padEnd(width)));
  return {
    style: { pretty: true, color: pc.isColorSupported },
    appOutput: () => createOutput(app, process.stderr),
    runtimeOutput: () => createOutput(ours, process.stderr),
    say: (line) => void process.stdout.write(`${ours(`${appId}: ${line}`)}\n`),
  };
}

/** Several apps in one log on stdout, aligned: `shop │ …`, the runtime beside it `shop │ mecha │ …`, and `mecha │ shop: …`. */
export function createSharedLogs(names: readonly string[]): Map<string, AppLog> {
  const width = Math.max(...names.map((name) => name.length), ourName.length);
  const ours = startWith(pc.magenta(ourName.padEnd(width)));
  const logs = names.map((name, index): [string, AppLog] => {
    const app = startWith(appColor(index)(name.padEnd(width)));
    const runtime = startWith(pc.magenta(ourName));
    return [
      name,
      {
        style: { pretty: true, color: pc.isColorSupported },
        appOutput: () => createOutput(app),
        runtimeOutput: () => createOutput((line) => app(runtime(line))),
        say: (line) => void process.stdout.write(`${ours(`${name}: ${line}`)}\n`),
      },
    ];
  });
  return new Map(logs);
}

/** One line of `mecha up --json`. */
export interface JsonLine {
  /** The app's name. */
  app: string;
  /** Who says it: the app on one of its two streams, the runtime beside it, or `mecha`. */
  stream: "stdout" | "stderr" | "runtime" | "mecha";
  line: string;
}

/** Several apps in one log on stdout, for machines. */
export function createJsonLog(app: string): AppLog {
  const from = (stream: JsonLine["stream"]) => (line: string) =>
    JSON.stringify({ app, stream, line } satisfies JsonLine);
  const say = from("mecha");
  return {
    style: { pretty: false, color: false },
    appOutput: () => ({
      stdout: createLineWriter(process.stdout, from("stdout")),
      stderr: createLineWriter(process.stdout, from("stderr")),
    }),
    runtimeOutput: () => createOutput(from("runtime")),
    say: (line) => void process.stdout.write(`${say(line)}\n`),
  };
}

/** What `mecha` calls itself in a log. */
const ourName = "mecha";

function createOutput(format: (line: string) => string, stderr: NodeJS.WriteStream = process.stdout): Output {
  return { stdout: createLineWriter(process.stdout, format), stderr: createLineWriter(stderr, format) };
}

const startWith = (name: string) => (line: string) => `${name} ${pc.dim("│")} ${line}`;

/** The colour of the app in this place of a list; magenta is ours, red is for what is wrong. */
export function appColor(index: number): (text: string) => string {
  const colors = [pc.cyan, pc.yellow, pc.green, pc.blue, pc.cyanBright, pc.yellowBright, pc.greenBright, pc.blueBright];
  return colors[index % colors.length] ?? pc.cyan;
}
