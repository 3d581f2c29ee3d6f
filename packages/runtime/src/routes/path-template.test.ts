import { expect, test } from "vitest";
import { normalizeTarget } from "../mesh/path.js";
import { compareSpecificity, overlap, parsePathTemplate } from "./path-template.js";

const cases: [template: string, path: string, matches: boolean, covers: boolean][] = [
  ["/orders", "/orders", true, true],
  ["/orders", "/orders/", false, true],
  ["/orders", "/ORDERS", false, true],
  ["/orders", "/orders;v=1", false, true],
  ["/orders", "/orders/7", false, false],
  ["/orders/{id}", "/orders/7", true, true],
  ["/orders/{id}", "/orders/", false, false],
  ["/orders/{id}", "/orders/7/items", false, false],
  ["/orders/{id}/items", "/orders/7/items", true, true],
  ["/admin/**", "/admin", true, true],
  ["/admin/**", "/admin/", true, true],
  ["/admin/**", "/admin/users/7", true, true],
  ["/admin/**", "/Admin;x/users/7", false, true],
  ["/admin/**", "/administrator", false, false],
  ["/**", "/", true, true],
  ["/**", "/a/b", true, true],
  ["/", "/", true, true],
  ["/", "/a", false, false],
  ["/café", "/caf%C3%A9", true, true],
  ["/caf%c3%a9", "/CAF%C3%89", false, true],
  ["/admin", "/%EF%BD%81dmin", false, true],
  ["/a%20b", "/a%20b", true, true],
  ["/%61dmin", "/admin", true, true],
  ["/admin/**", "/;x/admin/1", false, true],
  ["/admin/**", "/;/;/admin", false, true],
  ["/admin/**", "/%3Bx/admin/1", false, true],
  ["/admin", "/admin%20", false, true],
];

test.each(cases)("%s: %s matches %s, is covered %s", (template, path, matches, covers) => {
  const parsed = parsePathTemplate(template);
  expect(parsed.matches(normalizeTarget(path))).toBe(matches);
  expect(parsed.covers(normalizeTarget(path))).toBe(covers);
});

const refused: [text: string, why: RegExp][] = [
  ["orders", /begins with "\/"/],
  ["/a?b", /no query/],
  ["/a b", /space/],
  ["/a//b", /empty segment/],
  ["/a/../b", /dot segment/],
  ["/a/x{id}", /not a mixture/],
  ["/a/*/b", /only at the end/],
  ["/**/b", /only at the end/],
  ["/a%2Fb", /encoded slash/],
  ["/a%zz", /encodes nothing/],
];

test.each(refused)("%s is no template", (text, why) => {
  expect(() => parsePathTemplate(text)).toThrow(why);
});

test("the more specific of two comes first", () => {
  const sorted = ["/**", "/a/{x}", "/a/**", "/a/b", "/a/{x}/c", "/{x}"]
    .map(parsePathTemplate)
    .sort(compareSpecificity)
    .map(({ text }) => text);
  expect(sorted).toEqual(["/a/{x}/c", "/a/b", "/a/{x}", "/a/**", "/{x}", "/**"]);
});

test("templates overlap where one path fits both", () => {
  const both = (a: string, b: string) => overlap(parsePathTemplate(a), parsePathTemplate(b));
  expect(both("/a/{x}", "/{y}/b")).toBe(true);
  expect(both("/a/{x}", "/b/{x}")).toBe(false);
  expect(both("/a/**", "/a/b/c")).toBe(true);
  expect(both("/a/**", "/a")).toBe(true);
  expect(both("/a/b", "/a/b/c")).toBe(false);
  expect(both("/**", "/x")).toBe(true);
});
