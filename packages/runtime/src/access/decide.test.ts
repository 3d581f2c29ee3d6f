import { expect, test } from "vitest";
import { normalizeTarget } from "../mesh/path.js";
import { type AccessCall, decide } from "./decide.js";
import { planAccessPolicy } from "./plan.js";
import { accessPolicyResource } from "./resource.js";

/** The policies of YAML documents' specs, as a runtime plans them. */
const policies = (...specs: Record<string, unknown>[]) =>
  Promise.all(
    specs.map((spec, index) => {
      const document = { value: {}, file: "", baseDir: "", sourceOf: () => `resources[${index}]` };
      const resource = { apiVersion: "mecha.dev/v1", kind: "AccessPolicy", metadata: { name: `p${index}` }, spec };
      return planAccessPolicy(accessPolicyResource.parse(resource), document);
    }),
  );

const call = (method: string, path: string, more: Partial<AccessCall> = {}): AccessCall => ({
  from: "shop",
  method,
  path: normalizeTarget(path),
  claims: undefined,
  ...more,
});

test("without a policy everything is allowed; a policy without rules refuses all, unless its default is to allow", async () => {
  expect(decide([], call("GET", "/")).allowed).toBe(true);
  expect(decide(await policies({}), call("GET", "/")).allowed).toBe(false);
  expect(decide(await policies({ default: "allow" }), call("GET", "/")).allowed).toBe(true);
});

test("a rule matches by app, method and path together", async () => {
  const own = await policies({ rules: [{ from: ["shop"], methods: ["GET"], paths: ["/orders/{id}"] }] });
  expect(decide(own, call("GET", "/orders/7")).allowed).toBe(true);
  expect(decide(own, call("HEAD", "/orders/7")).allowed).toBe(true);
  expect(decide(own, call("POST", "/orders/7")).allowed).toBe(false);
  expect(decide(own, call("GET", "/orders/7/items")).allowed).toBe(false);
  expect(decide(own, call("GET", "/orders/7", { from: "mail" })).allowed).toBe(false);
});

test("what a deny rule matches is refused, wherever it stands and whatever else matches", async () => {
  const allowAll = { rules: [{ paths: ["/**"] }] };
  const denyAdmin = { default: "allow", rules: [{ action: "deny", paths: ["/admin/**"] }] };
  for (const specs of [
    [allowAll, denyAdmin],
    [denyAdmin, allowAll],
  ]) {
    const own = await policies(...specs);
    expect(decide(own, call("GET", "/admin/users"))).toMatchObject({ allowed: false, rule: { action: "deny" } });
    expect(decide(own, call("GET", "/orders")).allowed).toBe(true);
  }
});

test("of several policies one default to deny is enough", async () => {
  const own = await policies({ default: "allow" }, { default: "deny", rules: [{ paths: ["/a"] }] });
  expect(decide(own, call("GET", "/a")).allowed).toBe(true);
  expect(decide(own, call("GET", "/b"))).toMatchObject({ allowed: false, policy: { name: "p1" } });
});

// Each a way around a rule that some server would let through.
const aroundDeny = [
  "/admin",
  "/admin/",
  "/admin/users",
  "/ADMIN/users",
  "/Admin",
  "/admin;a=b/users",
  "/%61dmin/users",
  "//admin//users",
  "/./admin/users",
  "/x/../admin/users",
  "/%2e/admin/users",
  "/admin/%2e%2e/admin/users",
  "/%EF%BD%81dmin",
  "/admin%3Bx/users",
];

test.each(aroundDeny)("%s does not get around a rule that denies /admin/**", async (path) => {
  const own = await policies({ default: "allow", rules: [{ action: "deny", paths: ["/admin/**"] }] });
  expect(decide(own, call("GET", path)).allowed).toBe(false);
});

const beyondAllow = [
  "/PUBLIC/a",
  "/public;x/a",
  "/public/../secret",
  "/public/%2e%2e/secret",
  "/publicity",
  "/public%3B/a",
];

test.each(beyondAllow)("%s is not what a rule that allows /public/** means", async (path) => {
  const own = await policies({ rules: [{ paths: ["/public/**"] }] });
  expect(decide(own, call("GET", path)).allowed).toBe(false);
});

test("claims are a value, one of a list, a word of a text, or in a claim; without a token none is there", async () => {
  const asked = async (wanted: Record<string, unknown>, claims: AccessCall["claims"]) =>
    decide(await policies({ rules: [{ claims: wanted }] }), call("GET", "/", { claims })).allowed;
  expect(await asked({ role: "admin" }, { role: "admin" })).toBe(true);
  expect(await asked({ role: "admin" }, { role: ["user", "admin"] })).toBe(true);
  expect(await asked({ role: ["admin", "owner"] }, { role: "owner" })).toBe(true);
  expect(await asked({ scope: "orders.read" }, { scope: "openid orders.read" })).toBe(true);
  expect(await asked({ "realm_access.roles": "admin" }, { realm_access: { roles: ["admin"] } })).toBe(true);
  expect(await asked({ "https://shop.example/role": "a" }, { "https://shop.example/role": "a" })).toBe(true);
  expect(await asked({ role: "admin", level: 3 }, { role: "admin", level: 2 })).toBe(false);
  expect(await asked({ role: "admin" }, { role: "administrator" })).toBe(false);
  expect(await asked({ level: 3 }, { level: "3" })).toBe(false);
  expect(await asked({ role: "admin" }, undefined)).toBe(false);
  expect(await asked({ "constructor.name": "Object" }, {})).toBe(false);
});
