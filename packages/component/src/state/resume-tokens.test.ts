import { expect, test } from "vitest";
import { resumeTokens } from "./resume-tokens.js";

test("a token leads back to its position, whatever text that is", () => {
  const tokens = resumeTokens("space", { prefix: "a/" });
  for (const position of ["", "42", "a.b.c", "\u00e9\u{10ffff}"])
    expect(tokens.decode(tokens.encode(position))).toBe(position);
});

test("a token is good for its keyspace and target only, and undamaged", () => {
  const token = resumeTokens("space", { prefix: "a" }).encode("1234");
  const others = [
    resumeTokens("other", { prefix: "a" }),
    resumeTokens("space", { prefix: "b" }),
    resumeTokens("space", { key: "a" }),
  ];
  for (const tokens of others) expect(() => tokens.decode(token)).toThrow("not given for this watch");
  for (const damaged of [token.slice(1), `${token}5`, token.replace("1234", "1235"), "1234", ""]) {
    expect(() => resumeTokens("space", { prefix: "a" }).decode(damaged)).toThrow("not given for this watch");
  }
});
