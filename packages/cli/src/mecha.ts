#!/usr/bin/env node
import { exitCodes } from "./errors.js";

const [major = 0] = process.versions.node.split(".").map(Number);
if (major < 24) {
  process.stderr.write(
    `mecha: needs Node 24 or later (it has SQLite built in); this is Node ${process.versions.node}\n`,
  );
  process.exit(exitCodes.failed);
}
// After the check: what follows may use what older Nodes do not have.
const { main } = await import("./main.js");
await main();
