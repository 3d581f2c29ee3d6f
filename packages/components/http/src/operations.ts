import type { Operation, Parameter } from "@mecha/component";
import type { HttpConfig } from "./config.js";

const optional = (name: string, type: Parameter["type"], description: string): Parameter => ({
  name,
  type,
  required: false,
  description,
});

const results: readonly Parameter[] = [
  { name: "status", type: "integer", required: true, description: 'The status of the response: "200".' },
  { name: "url", type: "string", required: true, description: "The address that answered, after redirects." },
  optional("header.*", "string", 'A header of the response, its name in lower case: "header.etag".'),
];

const methods: readonly [name: string, does: string, hasBody: boolean][] = [
  ["get", "Reads a resource.", false],
  ["head", "Reads what is known of a resource, without its content.", false],
  ["options", "Asks what may be done with a resource.", false],
  ["post", "Sends data to a resource.", true],
  ["put", "Makes a resource what the data says.", true],
  ["patch", "Changes a part of a resource.", true],
  ["delete", "Deletes a resource.", true],
];

/** What the binding does as it is configured: with a base URL calls give a path below it, without one a whole URL. */
export function describeOperations({
  baseUrl,
  allowedHeaders,
}: Pick<HttpConfig, "baseUrl" | "allowedHeaders">): Operation[] {
  const target: Parameter[] =
    baseUrl === undefined
      ? [{ name: "url", type: "string", required: true, description: "The address, http or https." }]
      : [
          optional(
            "path",
            "string",
            'The path below the base URL, with a query or without: "/orders/7?full=1". Default: the base URL itself.',
          ),
        ];
  const parameters: Parameter[] = [
    ...target,
    optional("query.*", "string", 'A parameter of the query: "query.page" is "?page=".'),
    optional("timeout", "duration", "How long the call may take. Default and limit: the component's `timeoutMs`."),
    ...allowedHeaders.map((name) => optional(`header.${name}`, "string", `Header ${name} of the request.`)),
  ];
  const operations = methods.map(
    ([name, description, hasBody]): Operation => ({
      name,
      description,
      parameters,
      ...(hasBody && { input: "*/*" }),
      output: "*/*",
      results,
    }),
  );
  const method: Parameter = { name: "method", type: "string", required: true, description: 'The method: "PROPFIND".' };
  const request: Operation = {
    name: "request",
    description: "Calls with any method.",
    parameters: [method, ...parameters],
    input: "*/*",
    output: "*/*",
    results,
  };
  return [...operations, request];
}
