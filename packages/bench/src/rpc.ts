// What @mecha/rpc costs against its peers in the same run: see README.md.
import { parseArgs } from "node:util";
import { renderRows } from "./rpc/bars.ts";
import { runRpc } from "./rpc/run.ts";

const { values } = parseArgs({ options: { json: { type: "boolean", default: false } } });
const rows = await runRpc();
console.log(values.json ? JSON.stringify(rows, undefined, 2) : renderRows(rows));
