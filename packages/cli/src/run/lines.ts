import { Writable } from "node:stream";
import { StringDecoder } from "node:string_decoder";

/** A line longer than this is passed on in pieces: a program that prints no newline must not fill the memory. */
const maxLineLength = 64 * 1024;

/**
 * Passes what is written to it on to `target`, whole lines at a time and each as `format` has it, so that the output of several
 * programs can share one stream. An unfinished last line is finished when it ends.
 */
export function createLineWriter(
  target: Pick<NodeJS.WritableStream, "write">,
  format: (line: string) => string,
): Writable {
  const decoder = new StringDecoder("utf8");
  let unfinished = "";
  const print = (lines: string[]) => {
    if (lines.length > 0) target.write(lines.map((line) => `${format(line)}\n`).join(""));
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
