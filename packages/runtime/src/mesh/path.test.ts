import { expect, test } from "vitest";
import { normalizeTarget } from "./path.js";

test.each([
  ["/", "/"],
  ["/a/b", "/a/b"],
  ["/a/b/", "/a/b/"],
  ["/a/./b", "/a/b"],
  ["/a/../b", "/b"],
  ["/a/b/..", "/a/"],
  ["/a/b/.", "/a/b/"],
  ["/../../etc/passwd", "/etc/passwd"],
  ["/a/%2e%2e/b", "/b"],
  ["/a/%2E%2e/b", "/b"],
  ["/a/.%2e/b", "/b"],
  ["/a/%2e/b", "/a/b"],
  ["//a///b", "/a/b"],
  ["/a//../b", "/b"],
  ["/%61dmin", "/admin"],
  ["/%41dmin", "/Admin"],
  ["/a%7eb", "/a~b"],
  ["/caf%c3%a9", "/caf%C3%A9"],
  ["/a%20b", "/a%20b"],
  ["/a%3fb", "/a%3Fb"],
  ["/a%25b", "/a%25b"],
  ["/a%252fb", "/a%252fb"],
  ["/a;v=1/b;v=2", "/a;v=1/b;v=2"],
  ["/Admin", "/Admin"],
  ["/a/...", "/a/..."],
  ["/a?x=../%2f//", "/a?x=../%2f//"],
  ["/a/../b?x", "/b?x"],
])("%s is passed on as %s", (target, normal) => {
  expect(normalizeTarget(target)).toBe(normal);
  expect(normalizeTarget(normal)).toBe(normal);
});

test.each([
  ["/a%2fb", "encoded slash"],
  ["/a%2Fb", "encoded slash"],
  ["/a/..%2fb", "encoded slash"],
  ["/a%5cb", "encoded backslash"],
  ["/a\\b", "backslash"],
  ["/a/..\\b", "backslash"],
  ["/a%00b", "control character"],
  ["/a%0d%0ab", "control character"],
  ["/a%7fb", "control character"],
  ["/a%", "encodes nothing"],
  ["/a%2", "encodes nothing"],
  ["/a%zz", "encodes nothing"],
  ["/a%u002f", "encodes nothing"],
  ["/a/..;/b", "dot segment with parameters"],
  ["/a/.;x/b", "dot segment with parameters"],
  ["/a/%2e%2e;/b", "dot segment with parameters"],
  ["/a b", "must be encoded"],
  ["/caf\u00e9", "must be encoded"],
  ["/a#b", "must be encoded"],
  ["/a?x\u00e9", "must be encoded"],
  ['/a"b', "must be encoded"],
])("%j is refused: %s", (target, words) => {
  expect(() => normalizeTarget(target)).toThrow(words);
});
