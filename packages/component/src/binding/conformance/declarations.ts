import assert from "node:assert/strict";
import type { Parameter } from "../interface.js";
import type { CaseDefinition } from "./kit.js";

/** What a binding says of itself. */
export const declarations: CaseDefinition[] = [
  {
    name: "declares what it can do",
    async run(kit) {
      const { binding, component } = await kit.open();
      const sorted = (features: readonly string[]) => features.toSorted((a, b) => (a < b ? -1 : 1));
      assert.deepEqual(sorted(binding.features), sorted(kit.harness.features));
      assert.equal(binding.invoke !== undefined, binding.features.includes("OUTPUT"), "invoke goes with OUTPUT");
      assert.equal(binding.operations.length > 0, binding.features.includes("OUTPUT"), "operations go with OUTPUT");
      assert.equal(binding.input !== undefined, binding.features.includes("INPUT"), "input goes with INPUT");
      await component.health(new AbortController().signal);
    },
  },
  {
    name: "describes every operation and every parameter, each once",
    async run(kit) {
      const { binding } = await kit.open();
      const names = binding.operations.map(({ name }) => name);
      assert.deepEqual([...new Set(names)], names, "an operation is described once");
      for (const { name, description, parameters, results = [] } of binding.operations) {
        assert.match(name, /^[a-z][a-zA-Z0-9-]{0,63}$/);
        assertSentence(description, `operation "${name}"`);
        assertParameters(parameters, `operation "${name}"`);
        assertParameters(results, `the results of "${name}"`);
      }
      if (binding.input === undefined) return;
      assertSentence(binding.input.description, "the events");
      assertParameters(binding.input.metadata, "the events");
    },
  },
];

function assertParameters(parameters: readonly Parameter[], where: string): void {
  const names = parameters.map(({ name }) => name);
  assert.deepEqual([...new Set(names)], names, `${where}: a parameter is described once`);
  for (const { name, description } of parameters) assertSentence(description, `${where}, "${name}"`);
}

/** A person reads it: it begins with a capital letter (or a quote) and ends with a full stop. */
function assertSentence(text: string, what: string): void {
  assert.match(text, /^["A-Z0-9`].*\.$/s, `the description of ${what} is a sentence`);
}
