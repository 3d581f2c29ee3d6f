import { expect, test } from "vitest";
import { describeConfig, optionsTable, withOptionsTable } from "./describe-config.js";
import { withOperationsTable, z } from "./index.js";

const definition = {
  config: z.strictObject({
    url: z.string().min(1).describe("Where the server is."),
    mode: z.enum(["fast", "safe"]).default("safe").describe("How | why."),
    retries: z.int().min(0).max(10).default(3).describe("How often."),
    maxBytes: z.int().min(1).optional().describe("How much."),
    pool: z
      .strictObject({ size: z.number().default(4).describe("How many.") })
      .prefault({})
      .describe("Connections."),
    hosts: z
      .array(z.strictObject({ name: z.string().describe("Its name.") }))
      .optional()
      .describe("More of them."),
    idle: z
      .union([z.int(), z.literal(false)])
      .optional()
      .describe("Until when."),
  }),
};

test("every option is a row, nested ones too, with its range, its default and what it means", () => {
  expect(
    describeConfig(definition).map(({ path, type, default: byDefault, required }) => [path, type, byDefault, required]),
  ).toEqual([
    ["url", "string, length at least 1", undefined, true],
    ["mode", '`"fast"` or `"safe"`', '"safe"', false],
    ["retries", "integer, 0 to 10", "3", false],
    ["maxBytes", "integer, at least 1", undefined, false],
    ["pool", "object", "{}", false],
    ["pool.size", "number", "4", false],
    ["hosts", "list of object", undefined, false],
    ["hosts[].name", "string", undefined, true],
    ["idle", "integer or `false`", undefined, false],
  ]);
});

test("the table is aligned and keeps a bar within its cell", () => {
  const { mode } = definition.config.shape;
  expect(optionsTable({ config: z.strictObject({ mode }) })).toBe(
    [
      "| option | type                 | default  | meaning     |",
      "| ------ | -------------------- | -------- | ----------- |",
      '| `mode` | `"fast"` or `"safe"` | `"safe"` | How \\| why. |',
    ].join("\n"),
  );
});

test("a README gets the table between its markers, however often", () => {
  const readme = "# x\n<!-- options: generated from the schema -->\nold\n<!-- /options -->\nend\n";
  const once = withOptionsTable(readme, { config: z.strictObject({}) });
  expect(once).toBe("# x\n<!-- options: generated from the schema -->\nIt has no options.\n<!-- /options -->\nend\n");
  expect(withOptionsTable(once, { config: z.strictObject({}) })).toBe(once);
  expect(() => withOptionsTable("# x", definition)).toThrow("has no lines");
});

test("a README has the operations and events of a binding between its markers, if it has such markers", () => {
  const page = "<!-- operations: generated from their description -->\nold\n<!-- /operations -->\nend";
  const path = { name: "path", type: "string", required: true, description: "Which | one." } as const;
  const operations = [{ name: "read", description: "Reads a file.", parameters: [path], output: "*/*" }];
  const input = { description: "A file changed.", metadata: [path] };
  const serves = { binding: { features: ["OUTPUT", "INPUT"] as const, operations, input } };
  const written = withOperationsTable(page, { serves });
  expect(written).toContain("- **`read`**: Reads a file. Data: none; answer: any.\n\n| metadata | type");
  expect(written).toContain("| `path`   | string | yes      | Which \\| one. |");
  expect(written).toContain("- **events**: A file changed.");
  expect(written).not.toContain("old");
  expect(withOperationsTable(written, { serves })).toBe(written);
  expect(withOperationsTable("no markers", { serves })).toBe("no markers");
});
