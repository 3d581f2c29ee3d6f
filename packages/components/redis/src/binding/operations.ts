import type { Operation } from "@mecha/component";

/** Everything that the binding can do. */
export const operations = [
  {
    name: "command",
    description:
      'Runs one command, given as a JSON array such as `["SET", "order-1", "paid", "EX", 60]`; answers with its reply as JSON.',
    input: "application/json",
    output: "application/json",
    parameters: [
      {
        name: "encoding",
        type: "string",
        required: false,
        description: 'How the bytes in the reply are given: "text", their UTF-8 (the default), or "base64".',
      },
    ],
  },
] as const satisfies readonly Operation[];
