import type { Operation, Parameter } from "@mecha/component";

const parameters: readonly Parameter[] = [
  {
    name: "sql",
    type: "string",
    required: true,
    description:
      'One statement, with `$1`, `$2` … for values, which are given as data: a JSON array such as `[7, "paid", null]`.',
  },
  {
    name: "timeout",
    type: "duration",
    required: false,
    description: "How long it may take on the server. Default and limit: the component's `statementTimeoutMs`.",
  },
];

const results: readonly Parameter[] = [
  {
    name: "rows",
    type: "integer",
    required: true,
    description: "How many rows it read, wrote or deleted; 0 where that says nothing.",
  },
];

/** What a statement's values and rows are, whatever the operation. */
const data = { input: "application/json", output: "application/json", parameters, results } as const;

/** Everything that the binding can do. */
export const operations = [
  {
    name: "query",
    description: "Reads rows in a transaction that can change nothing; answers with a JSON array of objects.",
    ...data,
  },
  {
    name: "exec",
    description:
      "Runs a statement in a transaction of its own; answers with the rows that it returns, as `query` does.",
    ...data,
  },
] as const satisfies readonly Operation[];
