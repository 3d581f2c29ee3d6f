// Who may import whom (architecture.md). A package may use the packages below it and no other; tests may also use what tests need.
const test = "\\.test\\.ts$|/test/";

/** `name` may import, of the workspace's packages, only those whose path matches one of `allowed`. */
const only = (name, path, allowed) => ({
  name,
  comment: `${path} may import only: ${allowed.join(", ") || "nothing of the workspace"}`,
  severity: "error",
  from: { path: `^packages/${path}/src/`, pathNot: test },
  to: { path: "^packages/", pathNot: [`^packages/${path}/`, ...allowed.map((other) => `^packages/${other}/`)] },
});

/** @type {import("dependency-cruiser").IConfiguration} */
module.exports = {
  forbidden: [
    only("api-imports", "api", []),
    only("rpc-imports", "rpc", ["api"]),
    only("component-imports", "component", ["api"]),
    only("identity-imports", "identity", ["api", "rpc", "component"]),
    only("components-import", "components/[^/]+", ["api", "component"]),
    only("client-imports", "client", ["api", "rpc"]),
    only("clients-import", "clients/[^/]+", ["api", "client"]),
    only("runtime-imports", "runtime", ["api", "rpc", "component", "identity"]),
    only("testing-imports", "testing", [
      "api",
      "rpc",
      "component",
      "components/memory",
      "runtime",
      "client",
      "clients/[^/]+",
    ]),
    only("cli-imports", "cli", [
      "api",
      "rpc",
      "component",
      "components/[^/]+",
      "identity",
      "runtime",
      "client",
      "clients/[^/]+",
    ]),
    {
      name: "client-knows-the-transport-interface-only",
      comment: "@mecha/client reaches @mecha/rpc and connect-web only through its #transport condition",
      severity: "error",
      from: { path: "^packages/client/src/", pathNot: [test, "^packages/client/src/transport/"] },
      to: { path: "^packages/rpc/|connect-web|connect-node" },
    },
    {
      name: "components-do-not-know-each-other",
      severity: "error",
      from: { path: "^packages/components/([^/]+)/src/", pathNot: test },
      to: { path: "^packages/components/", pathNot: "^packages/components/$1/" },
    },
    {
      name: "no-cycles",
      comment: "what runs has no cycles; types may refer to each other",
      severity: "error",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    {
      name: "no-unresolvable-import",
      severity: "error",
      from: { path: "^packages/", pathNot: test },
      to: { couldNotResolve: true, pathNot: "\\?source$" },
    },
    {
      name: "no-undeclared-dependency",
      severity: "error",
      from: { path: "^(packages|examples)/", pathNot: ["\\.config\\.ts$", test] },
      to: { dependencyTypes: ["npm-no-pkg", "npm-unknown"] },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules|/dist/" },
    exclude: { path: "/gen/" },
    tsConfig: { fileName: "tsconfig.base.json" },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "types", "default"] },
  },
};
