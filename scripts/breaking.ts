// Guards the contracts from the first release on: what was released may grow, and never changes (`buf breaking`, FILE).
import { execFileSync, spawnSync } from "node:child_process";

const tags = execFileSync("git", ["tag", "--list", "@mecha/api@*", "--sort=-version:refname"], { encoding: "utf8" });
const [released] = tags.split("\n").filter((tag) => tag !== "");
if (released === undefined) console.log("There is no release yet, so nothing that could break.");
else {
  const { status } = spawnSync("buf", ["breaking", "--against", `.git#tag=${released}`], { stdio: "inherit" });
  if (status === 0) console.log(`Nothing that ${released} promised is broken.`);
  process.exitCode = status ?? 1;
}
