import { expect, test } from "vitest";
import { formatSpiffeId, parseSpiffeId, uriOf } from "./spiffe.js";

const id = { trustDomain: "mecha.internal", namespace: "default", appId: "shop" };

test("an id is read as it was written", () => {
  expect(formatSpiffeId(id)).toBe("spiffe://mecha.internal/ns/default/app/shop");
  expect(parseSpiffeId(formatSpiffeId(id))).toEqual(id);
});

test.each([
  "spiffe://mecha.internal/ns/default/app/shop/",
  "spiffe://mecha.internal/ns/default/app/shop/x",
  "spiffe://mecha.internal//ns/default/app/shop",
  "spiffe://mecha.internal/ns/default/app/../app/shop",
  "spiffe://mecha.internal/ns/default/app/%73hop",
  "spiffe://Mecha.internal/ns/default/app/shop",
  "SPIFFE://mecha.internal/ns/default/app/shop",
  "spiffe://user@mecha.internal/ns/default/app/shop",
  "spiffe://mecha.internal:1/ns/default/app/shop",
  "spiffe://mecha.internal/ns/default/app/shop?x",
  "spiffe://mecha.internal/ns/default/sa/shop",
  "spiffe:///ns/default/app/shop",
  "spiffe://mecha.internal/ns/default/app/shop\n",
])("%s is no app's id", (uri) => {
  expect(parseSpiffeId(uri)).toBeUndefined();
});

test("a certificate has one URI; names that pretend to be one, and several, count for none", () => {
  const of = (subjectAltName: string | undefined) => uriOf({ subjectAltName });
  expect(of("URI:spiffe://a/ns/b/app/c")).toBe("spiffe://a/ns/b/app/c");
  expect(of("DNS:shop.example, URI:spiffe://a/ns/b/app/c")).toBe("spiffe://a/ns/b/app/c");
  expect(of("URI:spiffe://a/ns/b/app/c, URI:spiffe://a/ns/b/app/d")).toBeUndefined();
  expect(of('DNS:"x, URI:spiffe://a/ns/b/app/admin, y", URI:spiffe://a/ns/b/app/c')).toBeUndefined();
  expect(of("DNS:shop.example")).toBeUndefined();
  expect(of(undefined)).toBeUndefined();
});
