import {
  type AccessExplanation,
  explainAccess,
  explainPolicies,
  readPolicies,
  type SectionExplanation,
} from "@mecha/runtime";
import { componentTypes, loadComponent } from "../components.js";
import { CliError, exitCodes } from "../errors.js";
import { reportProblems } from "../report.js";
import pc from "../terminal/colors.js";
import { print, printJson } from "../terminal/print.js";
import { formatFlow } from "./flow.js";

/** What is asked about, and how it is told. */
export interface ExplainFlags {
  method: string;
  path: string;
  from?: string | undefined;
  to?: string | undefined;
  component?: string | undefined;
  header?: Record<string, string> | undefined;
  claim?: Record<string, string> | undefined;
  resources?: string[] | undefined;
  json?: true | undefined;
}

/** Prints which policies hold for a call, and why. */
export async function explain(flags: ExplainFlags): Promise<void> {
  const options = {
    ...(flags.resources !== undefined && { resources: flags.resources }),
    resolveComponent: loadComponent,
    knownComponentTypes: componentTypes,
  };
  const call = callOf(flags);
  const { policies, problems } = await readPolicies(options);
  if (problems.length > 0) {
    process.exitCode = exitCodes.failed;
    return reportProblems(problems);
  }
  const sections = explainPolicies(policies, call);
  const access =
    "to" in call ? (await explainAccess({ ...call, claims: flags.claim ?? {} }, options)).explanation : undefined;
  if (flags.json) return await printJson({ call, policies: sections, ...(access !== undefined && { access }) });
  const title =
    "to" in call
      ? `${call.method} ${call.path} from ${call.from} to ${call.to}`
      : `calls of component ${call.component}`;
  await print(
    [pc.bold(title), ...describeSections(sections), ...(access === undefined ? [] : describeAccess(access)), ""].join(
      "\n",
    ),
  );
}

/** A call between apps. */
interface Call {
  from: string;
  to: string;
  method: string;
  path: string;
  headers: Record<string, string>;
}

function callOf({
  component,
  from,
  to,
  method,
  path,
  header: headers = {},
}: ExplainFlags): Call | { component: string } {
  if (component !== undefined) return { component };
  if (from !== undefined && to !== undefined) return { from, to, method, path, headers };
  throw new CliError("which call? Say --from <app> and --to <app>, or --component <name>", exitCodes.usage);
}

/** The value of each section, and below it who says so and who lost. */
function describeSections(sections: readonly SectionExplanation[]): string[] {
  if (sections.length === 0) return ["", "no policy says anything about it"];
  const width = Math.max(...sections.map(({ section }) => section.length));
  return sections.flatMap(({ section, value, policy, source, by, lost }) => {
    const why = policy === undefined ? "the default" : `policy ${pc.cyan(policy)}, ${source}`;
    const lines = [
      ...(value === undefined ? [pc.dim("nothing holds")] : [formatFlow(value), `${why}, by the ${by}'s runtime`]),
      ...lost.map((other) => pc.dim(`not ${other.policy}, ${other.source}: ${other.why}`)),
    ];
    return [
      "",
      ...lines.map((line, index) => `${index === 0 ? pc.bold(section.padEnd(width)) : " ".repeat(width)}  ${line}`),
    ];
  });
}

function describeAccess({ allowed, by, policy, source, dryRun }: AccessExplanation): string[] {
  const verdict = allowed ? pc.green("allowed") : pc.red("denied");
  const why =
    by === "no policy"
      ? "no access policy is for the app"
      : `by ${by === "rule" ? "a rule" : "the default"} of access policy ${pc.cyan(policy ?? "")}, ${source}`;
  const tried = dryRun.map((name) => `access policy ${pc.cyan(name)}, which only logs, would deny it`);
  return ["", `${pc.bold("access")}  ${verdict}: ${why}`, ...tried.map((line) => `        ${line}`)];
}
