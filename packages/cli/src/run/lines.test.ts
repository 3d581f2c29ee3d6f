import { describe, expect, it } from "vitest";
import { createLineWriter } from "./lines.js";

/** What arrives at the terminal when `chunks` are written. */
async function written(chunks: (string | Buffer)[]): Promise<string> {
  let output = "";
  const write = (text: string | Uint8Array) => {
    output += text.toString();
    return true;
  };
  const writer = createLineWriter({ write }, (line) => `app | ${line}`);
  for (const chunk of chunks) writer.write(chunk);
  await new Promise<void>((resolve) => writer.end(resolve));
  return output;
}

describe("the output of an app on a shared terminal", () => {
  it("puts the prefix before every line", async () => {
    expect(await written(["one\ntwo\n"])).toBe("app | one\napp | two\n");
  });

  it("keeps lines whole that arrive in pieces", async () => {
    expect(await written(["o", "ne\nt", "wo\n"])).toBe("app | one\napp | two\n");
  });

  it("keeps characters whole that arrive in pieces", async () => {
    const bytes = Buffer.from("süß\n");
    expect(await written([bytes.subarray(0, 2), bytes.subarray(2)])).toBe("app | süß\n");
  });

  it("finishes a last line without a newline", async () => {
    expect(await written(["one\ntwo"])).toBe("app | one\napp | two\n");
  });

  it("takes the line ends of Windows", async () => {
    expect(await written(["one\r\ntwo\r\n"])).toBe("app | one\napp | two\n");
  });

  it("passes on in pieces a line that does not end", async () => {
    const endless = "x".repeat(100_000);
    expect((await written([endless, endless])).length).toBeGreaterThan(200_000);
  });
});
