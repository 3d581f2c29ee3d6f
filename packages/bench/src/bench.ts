// `pnpm bench [suite…] [--json]`: runs the named suites, or all but `size`, each in a process of its own, and prints what they measured.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { parseArgs } from "node:util";

/** What each suite measures. Every one is a script of that name, which prints a table, or JSON with --json. */
const suites = {
  state: "state calls through the runtime (in process, socket, TCP) against the component called directly",
  sqlite: "the embedded default: group commit, loop delay, two processes",
  "sqlite-pubsub": "its events: publishing, latency, leasing from a backlog",
  outbox: "publishing within a transaction, by the store itself and to another component",
  pubsub: "events through the runtime against each engine's own client",
  postgres: "the component against `pg`",
  redis: "the component against its client library",
  rpc: "@mecha/rpc against connect-node, grpc-js and bare node:http",
  mesh: "calls from app to app through two runtimes against direct ones",
  startup: "how soon `mecha serve` is ready, and what it holds",
  size: "what installing a client costs against @dapr/dapr (needs the npm registry)",
};

const { values, positionals } = parseArgs({ options: { json: { type: "boolean" } }, allowPositionals: true });
const names = positionals.length > 0 ? positionals : Object.keys(suites).filter((name) => name !== "size");
const unknown = names.find((name) => !(name in suites));
if (unknown !== undefined) {
  const known = Object.entries(suites).map(([name, what]) => `  ${name.padEnd(15)}${what}`);
  console.error(`There is no suite "${unknown}". There are:\n${known.join("\n")}`);
  process.exit(2);
}

const results: Record<string, unknown> = {};
for (const name of names) {
  const isJson = values.json === true && name !== "size";
  if (values.json !== true) console.log(`\n## ${name}\n`);
  const { status, stdout } = spawnSync(
    process.execPath,
    [join(import.meta.dirname, `${name}.ts`), ...(isJson ? ["--json"] : [])],
    {
      encoding: "utf8",
      maxBuffer: 2 ** 26,
      stdio: ["ignore", values.json === true ? "pipe" : "inherit", "inherit"],
    },
  );
  if (status !== 0) process.exitCode = 1;
  if (values.json === true) results[name] = isJson && status === 0 ? JSON.parse(stdout) : stdout;
}
if (values.json === true) console.log(JSON.stringify(results, undefined, 2));
