import { setTimeout as delay } from "node:timers/promises";
import { toJson } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { type GetInfoResponse, GetInfoResponseSchema, RuntimeService } from "@mecha/api/runtime";
import { MechaError } from "@mecha/client";
import { type ClientFlags, connect } from "../client-options.js";
import { signalExitCode } from "../errors.js";
import { handleSignals } from "../signals.js";
import pc from "../terminal/colors.js";
import { print, printJson } from "../terminal/print.js";
import { printable } from "../terminal/printable.js";
import { createScreen } from "../terminal/screen.js";
import { describeChanges } from "./changes.js";
import { describe } from "./describe.js";

/** What is watched, and how it is told. */
export interface WatchFlags extends ClientFlags {
  intervalMs: number;
  json?: true | undefined;
}

/** How long an answer may take, in ms: a runtime that hangs is away. */
const answerTimeoutMs = 5_000;
/** How many changes are shown. */
const maxChanges = 8;

/** What is known of the runtime. */
interface Seen {
  /** The last answer; undefined: there was none yet. */
  info: GetInfoResponse | undefined;
  /** Set while it does not answer. */
  away: { since: Date; why: string } | undefined;
  /** The latest last, each with its time. */
  changes: readonly string[];
}

/** Prints what the runtime says of itself again and again, until a signal ends it. A runtime that is away is waited for. */
export async function watch(flags: WatchFlags): Promise<void> {
  const stop = new AbortController();
  handleSignals({ first: () => stop.abort(), second: (signal) => process.exit(signalExitCode(signal)) });
  await using connection = await connect(flags);
  const client = createClient(RuntimeService, connection.transport);
  const show = flags.json ? showJson : createView(flags.endpoint);
  let seen: Seen = { info: undefined, away: undefined, changes: [] };
  while (!stop.signal.aborted) {
    const answer = await client
      .getInfo({}, { signal: stop.signal, timeoutMs: answerTimeoutMs })
      .catch((error: unknown) => MechaError.from(error));
    if (stop.signal.aborted) return;
    // It is there, and will say the same each time.
    if (answer instanceof MechaError && answer.code === "unauthenticated") throw answer;
    seen = look(seen, answer, new Date());
    await show(seen);
    await delay(flags.intervalMs, undefined, { signal: stop.signal }).catch(() => {});
  }
}

/** What is known after another answer. */
function look(seen: Seen, answer: GetInfoResponse | MechaError, now: Date): Seen {
  const add = (lines: readonly string[]) =>
    [...seen.changes, ...lines.map((line) => `${timeOf(now)} ${line}`)].slice(-maxChanges);
  if (answer instanceof MechaError) {
    const why = printable(answer.message);
    const news = seen.away === undefined && seen.info !== undefined ? ["the runtime is away"] : [];
    return { ...seen, away: { since: seen.away?.since ?? now, why }, changes: add(news) };
  }
  const back = seen.away === undefined || seen.info === undefined ? [] : ["the runtime is back"];
  const news = seen.info === undefined ? [] : describeChanges(seen.info, answer);
  return { info: answer, away: undefined, changes: add([...back, ...news]) };
}

/** A line each time, with the time; what a runtime said before it went away is not said again. */
async function showJson({ info, away }: Seen): Promise<void> {
  const time = new Date().toISOString();
  if (away !== undefined) return await printJson({ time, awaySince: away.since.toISOString(), error: away.why });
  if (info === undefined) return;
  const fields = toJson(GetInfoResponseSchema, info, { alwaysEmitImplicit: true });
  await printJson(Object.assign({ time }, fields));
}

/** Redraws in place on a terminal, and prints block after block elsewhere. Lines that are new or changed are marked. */
function createView(endpoint: string): (seen: Seen) => Promise<void> {
  const screen = process.stdout.isTTY === true ? createScreen() : undefined;
  let before: readonly string[] | undefined;
  return async ({ info, away, changes }) => {
    const told = info === undefined ? [] : describe(info, endpoint).split("\n");
    // The first line tells how long it is up, which always changes.
    const marked = told.map((line, index) => {
      const isNew = index > 0 && line !== "" && before !== undefined && !before.includes(line);
      return `${isNew ? pc.yellow("●") : " "} ${line}`;
    });
    if (info !== undefined) before = told;
    const state =
      away === undefined
        ? []
        : [pc.red(`away since ${timeOf(away.since)} at ${endpoint}: ${away.why}`), ...(told.length > 0 ? [""] : [])];
    const news = changes.length === 0 ? [] : ["", pc.dim("CHANGES"), ...changes];
    const lines = [...state, ...(away === undefined ? marked : marked.map((line) => pc.dim(line))), ...news];
    if (screen !== undefined) screen.draw(lines);
    else await print(`${timeOf(new Date())}\n${lines.join("\n")}\n\n`);
  };
}

/** "12:01:02", here. */
const timeOf = (time: Date) => time.toTimeString().slice(0, 8);
