// `pnpm bench [suite…] [--json]`: runs the named suites, or all of them, and prints what they measured.
import { parseArgs } from "node:util";

/** A suite runs, prints its progress to stderr, and gives its table and its figures. */
interface Suite {
  readonly table: string;
  readonly rows: unknown;
}

const suites: Record<string, () => Promise<Suite>> = {
  rpc: async () => {
    const { runRpc } = await import("./rpc/run.ts");
    const { renderRows } = await import("./rpc/bars.ts");
    const rows = await runRpc();
    return { table: renderRows(rows), rows };
  },
};

const { values, positionals } = parseArgs({ options: { json: { type: "boolean" } }, allowPositionals: true });
const results: Record<string, unknown> = {};
for (const name of positionals.length > 0 ? positionals : Object.keys(suites)) {
  const suite = suites[name];
  if (suite === undefined) {
    console.error(`There is no suite "${name}": choose from ${Object.keys(suites).join(", ")}.`);
    process.exit(2);
  }
  const { table, rows } = await suite();
  results[name] = rows;
  if (!values.json) console.log(`\n## ${name}\n\n${table}`);
}
if (values.json) console.log(JSON.stringify(results, undefined, 2));
