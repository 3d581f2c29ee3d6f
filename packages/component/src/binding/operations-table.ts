import type { Serves } from "../component.js";
import { between, markdownTable } from "../markdown.js";
import type { InputDescription, Operation, Parameter } from "./interface.js";

const markers = ["<!-- operations: generated from their description -->", "<!-- /operations -->"] as const;

/** A README with the operations and events of the component between its two markers; unchanged if it has no such markers. */
export function withOperationsTable(readme: string, { serves }: { readonly serves: Serves }): string {
  const { operations = [], input } = serves.binding ?? {};
  return between(readme, markers, describe(operations, input)) ?? readme;
}

/** What a binding does and what its events carry, in Markdown. Operations that take and give the same stand together. */
function describe(operations: readonly Operation[], input: InputDescription | undefined): string {
  const alike = Map.groupBy(operations, ({ parameters, results = [] }) => JSON.stringify([parameters, results]));
  const parts = [...alike.values()].flatMap((group) => [
    group.map(describeOne).join("\n"),
    tableOf("metadata", group[0]?.parameters),
    tableOf("answer", group[0]?.results),
  ]);
  if (input !== undefined) parts.push(`- **events**: ${input.description}`, tableOf("metadata", input.metadata));
  return parts.filter((part) => part !== "").join("\n\n");
}

function describeOne({ name, description, input, output }: Operation): string {
  return `- **\`${name}\`**: ${description} ${dataOf(input, output)}`;
}

function dataOf(takes: string | undefined, output: string | undefined): string {
  const name = (type: string | undefined) => (type === undefined ? "none" : type === "*/*" ? "any" : `\`${type}\``);
  return `Data: ${name(takes)}; answer: ${name(output)}.`;
}

function tableOf(what: string, parameters: readonly Parameter[] = []): string {
  if (parameters.length === 0) return "";
  const rows = parameters.map(({ name, type, required, description }) => {
    return [`\`${name}\``, type, required ? "yes" : "", description];
  });
  return markdownTable([what, "type", "required", "meaning"], rows);
}
