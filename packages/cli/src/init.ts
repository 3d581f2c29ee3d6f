import { mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { CliError, describeSystemError } from "./errors.js";
import pc from "./terminal/colors.js";
import { print } from "./terminal/print.js";

const template = `# What Mecha runs on. Without this file everything works on an embedded SQLite database, in .mecha/.
#
#   mecha check            says what is wrong in here, with file and line
#   mecha schema           prints the JSON Schema of this file, for completion in an editor:
#                          mecha schema > .mecha.schema.json, and have this as the first line of this file:
#                          # yaml-language-server: $schema=.mecha.schema.json
#
# A change is taken while the runtime runs; one that is wrong is refused, and what was there runs on.

apiVersion: mecha.dev/v1
kind: Component
metadata:
  name: main # what an app calls it by, when it asks for more than the default
spec:
  type: sqlite # sqlite, memory, postgres, redis, or the package name of somebody else's component
  default: true # what a call that names no component gets
  # blocks: [state]      # what of it to use; all that it can serve when left out
  # requires: [TRANSACT] # features that must be there, checked at start
  # scopes: [shop]       # which apps may use it; all when left out

# A second document: the same app on PostgreSQL. Remove "default: true" above and the "# " below.
# ---
# apiVersion: mecha.dev/v1
# kind: Component
# metadata:
#   name: orders-db
# spec:
#   type: postgres
#   default: true
#   config:
#     url: { $env: DATABASE_URL } # or { $secret: file/database-url }: a secret never stands in here

# ---
# # Another kind: events of a topic, posted to the app's port (mecha run --app-port).
# apiVersion: mecha.dev/v1
# kind: Subscription
# metadata:
#   name: orders
# spec:
#   topic: orders
#   path: /orders
`;

/** Writes the file, and its folder if it is missing; one that is there stays as it is. */
export async function init(file: string): Promise<void> {
  const folder = dirname(file);
  await mkdir(folder, { recursive: true }).catch((error: unknown) => {
    throw new CliError(`cannot make the folder ${folder}: ${describeSystemError(error)}`);
  });
  try {
    await writeFile(file, template, { flag: "wx" });
  } catch (error) {
    const exists = error instanceof Error && "code" in error && error.code === "EEXIST";
    if (exists)
      throw new CliError(`${file} is there already, and stays as it is; give another name to write beside it`);
    throw new CliError(`cannot write ${file}: ${describeSystemError(error)}`);
  }
  await print(`wrote ${pc.bold(file)}\n`);
}
