// `pnpm generate:docs`: writes docs/components.md, and the options and operations in each component's README, from the components themselves. With `--check`
// (part of `pnpm test`) it fails where a page says something else than the code. Needs the packages built.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

type ComponentPackage = typeof import("../packages/component/src/index.ts");
type Definition = import("../packages/component/src/index.ts").ComponentDefinition;

const root = join(import.meta.dirname, "..");
const { withOptionsTable, withOperationsTable } = await load<ComponentPackage>("packages/component");

/** Imports a package of the workspace as its users do: by its `exports`, built. */
async function load<T>(folder: string): Promise<T> {
  const manifest = join(root, folder, "package.json");
  const { name } = JSON.parse(readFileSync(manifest, "utf8")) as { name: string };
  return (await import(pathToFileURL(createRequire(manifest).resolve(name)).href)) as T;
}

async function loadDefinition(type: string): Promise<Definition> {
  const exports = await load<Record<string, Definition>>(`packages/components/${type}`);
  const definition = Object.values(exports).find((value) => value.type === type);
  if (definition === undefined) throw new Error(`packages/components/${type} exports no component of type "${type}"`);
  return definition;
}

/** What a type declares of one block: the source of `GetInfo`, and of `requires`, too. */
interface Served {
  features?: readonly string[];
  durability?: Readonly<Record<string, string>>;
}

/** Blocks that somebody can use today: those of the runtime, secrets, which resources refer to, and discovery, by which runtimes find each other. */
const isServed = (block: string) =>
  block === "secret" || block === "discovery" || existsSync(join(root, "packages/runtime/src/blocks", block));

function componentRows({ type, serves, servesOnRequest = {} }: Definition): string[] {
  const blocks = Object.entries({ ...serves, ...servesOnRequest }).filter(([block]) => isServed(block));
  return blocks.map(([name, { features = [], durability = {} }]: [string, Served], index) => {
    const block = name in servesOnRequest ? `${name} ¹` : name;
    const link = index === 0 ? `[\`${type}\`](../packages/components/${type}/README.md)` : "";
    const levels = Object.entries(durability).map(([level, when]) => `\`${level}\`: ${when}`);
    const cells = [link, block, features.map((feature) => `\`${feature}\``).join(", "), levels.join("; ")];
    return `| ${cells.join(" | ")} |`;
  });
}

const overview = (
  definitions: readonly Definition[],
) => `<!-- Written by \`pnpm generate:docs\` from the components' code; change it there. -->

# Components

A component is one piece of infrastructure, configured once in a resource file. An app never names its type: to move to another one, change
the file. Each type's page has its options, and what to know before it is used.

| type | block | features | durability |
| --- | --- | --- | --- |
${definitions.flatMap(componentRows).join("\n")}

¹ On request: only if the resource names the block, in \`blocks\` or as one of its \`default\`s.

**Features** are what a component can do beyond a block's core, which every component of the block does. Asking for one that is not there is
\`UNIMPLEMENTED\` / \`FEATURE_NOT_SERVED\`; a resource that says \`requires: [TRANSACT]\` is refused at the start instead.

**Durability** is what an answered write survives: \`PROCESS\` nothing, \`HOST\` a crash of the process and of its host, \`REPLICATED\` the loss
of a host. A component reports what its configuration backs; \`mecha info\` shows it.

\`sqlite\` serves, without a resource, what it can of the blocks that no resource serves; \`env\` and \`file\` are there for \`$secret\` without one too. A type
that is not in this table is the name of an npm package that exports a component: \`@mecha/component\` has the interface, and the conformance
suites that prove it.
`;

/** As the formatter has it, so that neither undoes the other's work. */
function format(path: string, text: string): string {
  const { stdout, status } = spawnSync("biome", ["format", `--stdin-file-path=${path}`], { cwd: root, input: text });
  if (status !== 0) throw new Error(`biome could not format ${path}`);
  return stdout.toString();
}

const types = readdirSync(join(root, "packages/components")).sort((a, b) => a.localeCompare(b));
const definitions = await Promise.all(types.map(loadDefinition));
/** A page as it is; empty if it is not there. */
const read = (path: string) => (existsSync(join(root, path)) ? readFileSync(join(root, path), "utf8") : "");
const pages = new Map([["docs/components.md", overview(definitions)]]);
for (const definition of definitions) {
  const path = `packages/components/${definition.type}/README.md`;
  try {
    pages.set(path, withOperationsTable(withOptionsTable(read(path), definition), definition));
  } catch (error) {
    console.error(`✗ ${path}: ${error instanceof Error ? error.message : error}`);
    process.exitCode = 1;
  }
}
const stale = [...pages]
  .map(([path, text]) => [path, format(path, text)] as const)
  .filter(([path, text]) => read(path) !== text);

if (process.argv.includes("--check")) {
  for (const [path] of stale) console.error(`✗ ${path} does not say what the code says; run pnpm generate:docs`);
  if (stale.length > 0) process.exitCode = 1;
} else {
  for (const [path, text] of stale) {
    writeFileSync(join(root, path), text);
    console.log(`wrote ${path}`);
  }
}
