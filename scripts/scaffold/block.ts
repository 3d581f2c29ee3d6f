import type { Line, Subject } from "../new.ts";

const model = "packages/clients/state";

/** The five parts of a block: contract, client package, component interface, conformance suite, runtime service. */
export function blockFiles({ name, typeName, description, read }: Subject): Record<string, string> {
  const client = `packages/clients/${name}`;
  const manifest = JSON.parse(read(`${model}/package.json`));
  manifest.name = `@mecha/${name}`;
  manifest.description = `Typed client of Mecha's ${name} block: ${description}.`;
  manifest.repository.directory = client;
  const component = `packages/component/src/${name}`;
  const runtime = `packages/runtime/src/blocks/${name}`;
  return {
    [`proto/mecha/${name}/v1/${name}.proto`]: `syntax = "proto3";

package mecha.${name}.v1;

// ${description}.
//
// Rules that hold for every method:
//
// - \`${name}\` names the component. Empty means the default one for the ${name} block.
service ${typeName}Service {
  // Says what the method does, what it promises, and which errors it has.
  rpc Get(GetRequest) returns (GetResponse) {
    option idempotency_level = NO_SIDE_EFFECTS;
  }
}

// Asks for one.
message GetRequest {
  // The component; empty means the default one.
  string ${name} = 1;
  // Its name: 1 to 128 bytes; anything else is INVALID_ARGUMENT / BAD_REQUEST.
  string name = 2;
}

// Answers Get.
message GetResponse {}
`,
    [`${component}/interface.ts`]: `import type { Durability } from "../durability.js";
import type { Awaitable } from "../state/interface.js";
import type { ${typeName}Feature } from "./features.js";

/** What a component implements to serve the ${name} block. */
export interface ${typeName} {
  readonly features: readonly ${typeName}Feature[];
  readonly durability: Durability;
  get(call: { readonly keyspace: string; readonly name: string; readonly signal?: AbortSignal }): Awaitable<void>;
}
`,
    [`${component}/features.ts`]: `/** What a component can do beyond the core of the ${name} block. */
export type ${typeName}Feature = never;
`,
    [`${component}/conformance.ts`]: `import assert from "node:assert/strict";
import type { Component } from "../component.js";
import type { ConformanceCase } from "../suite/cases.js";
import type { Awaitable } from "../state/interface.js";

/** What a component's tests tell the ${name} suite. */
export interface ${typeName}Harness {
  open(): Awaitable<Component>;
}

/** Every rule of \`mecha.${name}.v1\` that is a component's to keep. */
export function ${name}Conformance(harness: ${typeName}Harness): ConformanceCase[] {
  return [
    {
      name: "serves the ${name} block",
      async run() {
        const component = await harness.open();
        assert(component.blocks.${name} !== undefined);
        await component.close();
      },
    },
  ];
}
`,
    [`${runtime}/service.ts`]: `import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { ${typeName}Service } from "@mecha/api/${name}";
import type { ComponentRegistry } from "../../components/registry.js";
import { checkGet } from "./validate.js";

/** The ${name} block: checks a request, finds its component, applies the app's keyspace. */
export function create${typeName}Service(registry: ComponentRegistry) {
  return {
    async get(request, { signal }: Pick<HandlerContext, "signal">) {
      checkGet(request);
      const { live, serve, keyspace } = registry.use("${name}", request.${name});
      await live.track(Promise.resolve(serve.get({ keyspace, name: request.name, signal })));
      return {};
    },
  } satisfies ServiceImpl<typeof ${typeName}Service>;
}
`,
    [`${runtime}/validate.ts`]: `import type { GetRequest } from "@mecha/api/${name}";
import { checkBytes, Violations } from "../validation.js";

const maxNameBytes = 128;

/** Requires what a Get needs. */
export function checkGet(request: GetRequest): void {
  const violations = new Violations();
  if (request.name === "") violations.add("name", "is missing");
  checkBytes("name", request.name, maxNameBytes, violations);
  violations.throwIfAny();
}
`,
    [`${runtime}/block.ts`]: `import { ${typeName}Service } from "@mecha/api/${name}";
import type { Block } from "../block.js";
import { create${typeName}Service } from "./service.js";

/** \`mecha.${name}.v1\`. */
export const ${name}Block: Block = {
  service: ${typeName}Service,
  start({ registry, observer }) {
    const service = observer.watch(${typeName}Service, create${typeName}Service(registry));
    return { routes: (router) => router.service(${typeName}Service, service) };
  },
};
`,
    [`${client}/src/client.ts`]: `import { createClient } from "@connectrpc/connect";
import { ${typeName}Service } from "@mecha/api/${name}";
import { type ClientOptions, connectRuntime } from "@mecha/client";

/** Options of {@link create${typeName}Client}. */
export interface ${typeName}ClientOptions extends ClientOptions {
  /** The component. Default: the runtime's default. */
  ${name}?: string;
}

/** A client of the runtime's ${name} block. Connects by the first call. */
export function create${typeName}Client(options: ${typeName}ClientOptions = {}) {
  const runtime = connectRuntime(options);
  const rpc = createClient(${typeName}Service, runtime.transport);
  return {
    async get(name: string): Promise<void> {
      await rpc.get({ ${name}: options.${name} ?? "", name });
    },
    close: runtime.close,
    [Symbol.asyncDispose]: runtime.close,
  };
}
`,
    [`${client}/src/client.test.ts`]: `import { createRouterTransport } from "@connectrpc/connect";
import { ${typeName}Service } from "@mecha/api/${name}";
import { expect, test } from "vitest";
import { create${typeName}Client } from "./client.js";

test("a call names the component and what it asks for", async () => {
  const asked: string[] = [];
  const transport = createRouterTransport(({ service }) =>
    service(${typeName}Service, {
      get(request) {
        asked.push(request.${name}, request.name);
        return {};
      },
    }),
  );
  await create${typeName}Client({ transport, ${name}: "main" }).get("one");
  expect(asked).toEqual(["main", "one"]);
});
`,
    [`${client}/src/index.ts`]: `export * from "./client.js";\n`,
    [`${client}/README.md`]: `# @mecha/${name}

${description}.

\`\`\`sh
npm install @mecha/${name}
\`\`\`
`,
    [`${client}/package.json`]: `${JSON.stringify(manifest, null, 2)}\n`,
    [`${client}/tsconfig.json`]: read(`${model}/tsconfig.json`),
    [`${client}/tsup.config.ts`]: read(`${model}/tsup.config.ts`),
    [`${client}/vitest.config.ts`]: read(`${model}/vitest.config.ts`),
  };
}

/** What knows every block: the generated code's entries, what components serve, what is exported, the runtime's registry. */
export function blockLines({ name, typeName }: Subject): Line[] {
  const types = "./dist";
  return [
    {
      file: "packages/api/package.json",
      before: '"./state": {',
      text: `    "./${name}": {\n      "types": "${types}/${name}.d.ts",\n      "default": "${types}/${name}.js"\n    },`,
    },
    {
      file: "packages/api/tsup.config.ts",
      before: "  state:",
      text: `  ${name}: "src/gen/mecha/${name}/v1/${name}_pb.ts",`,
    },
    {
      file: "packages/component/src/component.ts",
      before: "  secret?: SecretStore;",
      text: `  ${name}?: ${typeName};`,
    },
    {
      file: "packages/component/src/component.ts",
      before: "  secret?: Record<string, never>;",
      text: `  ${name}?: {\n    features: readonly ${typeName}Feature[];\n    durability: Readonly<Partial<Record<Durability, string>>>;\n  };`,
    },
    {
      file: "packages/component/src/component.ts",
      before: "import type { SecretStore }",
      text: `import type { ${typeName}Feature } from "./${name}/features.js";\nimport type { ${typeName} } from "./${name}/interface.js";`,
    },
    {
      file: "packages/component/src/index.ts",
      before: "export type { SecretStore }",
      text: `export type * from "./${name}/features.js";\nexport type * from "./${name}/interface.js";`,
    },
    {
      file: "packages/component/src/conformance.ts",
      before: 'export * from "./state/conformance.js";',
      text: `export * from "./${name}/conformance.js";`,
    },
    { file: "packages/runtime/src/blocks/registry.ts", before: "  secret:", text: `  ${name}: ${name}Block,` },
    {
      file: "packages/runtime/src/blocks/registry.ts",
      before: "import { stateBlock }",
      text: `import { ${name}Block } from "./${name}/block.js";`,
    },
  ];
}
