import type { Line, Subject } from "../new.ts";

const model = "packages/components/memory";

/** A package that serves the state block, with its conformance suite: it fails until the store is written. */
export function componentFiles({ name, typeName, description, read }: Subject): Record<string, string> {
  const folder = `packages/components/${name}`;
  const manifest = JSON.parse(read(`${model}/package.json`));
  manifest.name = `@mecha/component-${name}`;
  manifest.description = `Mecha component \`${name}\`: ${description}.`;
  manifest.repository.directory = folder;
  return {
    [`${folder}/src/config.ts`]: `import { z } from "@mecha/component";

/** Every option says its purpose, unit, default and limit: the documentation is made of it. */
export const config = z.strictObject({
  url: z.url().describe("Where the server is."),
});

export type ${typeName}Config = z.infer<typeof config>;
`,
    [`${folder}/src/connection.ts`]: `import { ComponentError } from "@mecha/component";
import type { ${typeName}Config } from "./config.js";

/** What every block of this component shares. */
export interface ${typeName}Connection {
  /** Rejects with what is wrong while the server does not answer. */
  ping(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** Connects; rejects with what to do about it. */
export async function connect({ url }: ${typeName}Config): Promise<${typeName}Connection> {
  throw new ComponentError("COMPONENT_UNAVAILABLE", \`nothing connects to \${url} yet; write it in connection.ts\`);
}
`,
    [`${folder}/src/state.ts`]: `import type { StateFeature, StateStore } from "@mecha/component";
import type { ${typeName}Connection } from "./connection.js";

/** What the store declares, and the conformance suite then proves. */
export const features: readonly StateFeature[] = [];

/** The state block over a connection. */
export type Create${typeName}State = (connection: ${typeName}Connection) => StateStore;
`,
    [`${folder}/src/index.ts`]: `import { defineComponent } from "@mecha/component";
import { config } from "./config.js";
import { connect } from "./connection.js";
import { features } from "./state.js";

/** ${description}. */
export const ${name} = defineComponent({
  type: "${name}",
  description: "${description}.",
  config,
  serves: { state: { features, durability: { HOST: "always" } } },
  async create(options) {
    const connection = await connect(options);
    return { blocks: {}, health: connection.ping, close: connection.close };
  },
});

export default ${name};
`,
    [`${folder}/src/state.test.ts`]: `import { startComponent, stateConformance } from "@mecha/component/conformance";
import { test } from "vitest";
import { ${name} } from "./index.js";
import { features } from "./state.js";

// A real server: see @mecha/test-servers.
const url = process.env.MECHA_TEST_${name.toUpperCase()}_URL ?? "${name}://127.0.0.1";

const harness = { open: () => startComponent(${name}, { url }), features, durability: "HOST", shared: true } as const;

for (const { name, run } of stateConformance(harness)) test(name, run);
`,
    [`${folder}/README.md`]: `# Component \`${name}\`

${description}.

\`\`\`yaml
apiVersion: mecha.dev/v1
kind: Component
metadata: { name: main }
spec:
  type: ${name}
  config: { url: "${name}://127.0.0.1" }
\`\`\`

## Options

<!-- options: generated from the schema -->
<!-- /options -->
`,
    [`${folder}/package.json`]: `${JSON.stringify(manifest, null, 2)}\n`,
    [`${folder}/tsconfig.json`]: read(`${model}/tsconfig.json`),
    [`${folder}/tsup.config.ts`]: read(`${model}/tsup.config.ts`),
    [`${folder}/vitest.config.ts`]: read(`${model}/vitest.config.ts`),
  };
}

/** The CLI brings it along. */
export function componentLines({ name }: Subject): Line[] {
  return [
    {
      file: "packages/cli/package.json",
      before: '"@mecha/component-postgres"',
      text: `    "@mecha/component-${name}": "workspace:*",`,
    },
    {
      file: "packages/cli/src/components.ts",
      before: '["postgres",',
      text: `  ["${name}", async () => (await import("@mecha/component-${name}")).${name}],`,
    },
  ];
}
