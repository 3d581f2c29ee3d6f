import { Writable } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import pc from "../terminal/colors.js";

/** A line longer than this is passed on in pieces: a program that prints no newline must not fill the memory. */
const maxLineLength = 64 * 1024;

/**
 * Passes what is written to it on to `target`, a whole line at a time and each with `prefix`, so that the output of several
 * programs can share a terminal. An unfinished last line is finished when it ends.
 */
export function createLineWriter(target: Pick<NodeJS.WritableStream, "write">, prefix: string): Writable {
  const decoder = new StringDecoder("utf8");
  let unfinished = "";
  const print = (lines: string[]) => {
    if (lines.length > 0) target.write(lines.map((line) => `${prefix}${line}\n`).join(""));
  };
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      const lines = (unfinished + decoder.write(chunk)).split("\n");
      unfinished = lines.pop() ?? "";
      if (unfinished.length > maxLineLength) {
        lines.push(unfinished);
        unfinished = "";
      }
      print(lines.map((line) => line.replace(/\r$/, "")));
      done();
    },
    final(done) {
      unfinished += decoder.end();
      if (unfinished !== "") print([unfinished]);
      done();
    },
  });
}

/** The prefixes of the app's and of the runtime's lines on a terminal, of one width. */
export function createPrefixes(appId: string): { app: string; runtime: string } {
  const runtime = "mecha";
  const width = Math.max(appId.length, runtime.length);
  return {
    app: `${pc.cyan(appId.padEnd(width))} ${pc.dim("│")} `,
    runtime: `${pc.magenta(runtime.padEnd(width))} ${pc.dim("│")} `,
  };
}
