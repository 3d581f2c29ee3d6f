import { checkResources } from "@mecha/runtime";
import { componentTypes, loadComponent } from "./components.js";
import { exitCodes } from "./errors.js";
import { reportProblems } from "./report.js";
import pc from "./terminal/colors.js";
import { print, printJson } from "./terminal/print.js";
import { formatTable } from "./terminal/table.js";

/** Checks resources, and prints what is wrong or what a runtime would start. */
export async function check(paths: string[], flags: { json?: true | undefined }): Promise<void> {
  const { problems, components, subscriptions, others } = await checkResources({
    ...(paths.length > 0 && { resources: paths }),
    resolveComponent: loadComponent,
    knownComponentTypes: componentTypes,
  });
  if (problems.length > 0) process.exitCode = exitCodes.failed;
  if (flags.json) return await printJson({ problems, components, subscriptions, others });
  if (problems.length > 0) return reportProblems(problems);
  const rows = components.map(({ name, type, blocks, defaults, implicit, source }) => [
    name,
    type,
    blocks.map((block) => (defaults.includes(block) ? `${block} (default)` : block)).join(", "),
    implicit ? pc.dim("embedded") : source,
  ]);
  await print(`${formatTable(["COMPONENT", "TYPE", "SERVES", "FROM"], rows)}\n\n`);
  if (subscriptions.length > 0) {
    const subscribed = subscriptions.map(({ name, events, paths, source }) => [name, events, paths.join(", "), source]);
    await print(`${formatTable(["SUBSCRIPTION", "EVENTS", "TO", "FROM"], subscribed)}\n\n`);
  }
  if (others.length > 0) {
    const named = others.map(({ kind, name, source }) => [name, kind, source]);
    await print(`${formatTable(["RESOURCE", "KIND", "FROM"], named)}\n\n`);
  }
  await print(`${pc.green("✓")} nothing is wrong\n`);
}
