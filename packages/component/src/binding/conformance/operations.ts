import assert from "node:assert/strict";
import { ComponentError } from "../../errors.js";
import { bindingLimits } from "../features.js";
import { assertDescribed, type CaseDefinition } from "./kit.js";

const isReason = (reason: string) => (error: unknown) => error instanceof ComponentError && error.reason === reason;

/** What every binding with OUTPUT does with a call. */
export const operations: CaseDefinition[] = [
  {
    name: "does an operation and answers as it is described",
    feature: "OUTPUT",
    async run(kit) {
      const { binding } = await kit.open();
      const answer = await kit.invoke(binding, kit.works);
      const operation = binding.operations.find(({ name }) => name === kit.works.operation);
      assert(operation !== undefined, "the call that works names an operation");
      assert(answer.data.byteLength <= bindingLimits.maxDataBytes, "an answer keeps the limit");
      if (operation.output === undefined) assert.equal(answer.data.byteLength, 0, "it answers with no data");
      assertDescribed(answer.metadata, operation.results ?? []);
    },
  },
  {
    name: "has calls refused that its description does not allow, naming what it does",
    feature: "OUTPUT",
    async run(kit) {
      const { binding } = await kit.open();
      const [first] = binding.operations;
      assert(first !== undefined);
      await assert.rejects(kit.invoke(binding, { operation: "no-such-operation" }), (error: unknown) => {
        assert(isReason("BAD_REQUEST")(error));
        return String(error).includes(first.name);
      });
      const metadata = { ...kit.works.metadata, "no-such-parameter": "1" };
      await assert.rejects(kit.invoke(binding, { ...kit.works, metadata }), isReason("BAD_REQUEST"));
      for (const { name, parameters } of binding.operations) {
        const needed = parameters.find(({ required }) => required);
        if (needed === undefined) continue;
        await assert.rejects(kit.invoke(binding, { operation: name }), (error: unknown) => {
          return isReason("BAD_REQUEST")(error) && String(error).includes(needed.name);
        });
      }
    },
  },
  {
    name: "has data refused that is larger than it takes",
    feature: "OUTPUT",
    async run(kit) {
      const { binding } = await kit.open();
      assert(binding.maxDataBytes > 0 && binding.maxDataBytes <= bindingLimits.maxDataBytes);
      for (const { name, input, parameters } of binding.operations) {
        if (input === undefined || parameters.some(({ required }) => required)) continue;
        const data = new Uint8Array(binding.maxDataBytes + 1);
        await assert.rejects(kit.invoke(binding, { operation: name, data }), isReason("TOO_LARGE"));
      }
    },
  },
  {
    name: "does nothing for a caller that is gone",
    feature: "OUTPUT",
    async run(kit) {
      const { binding } = await kit.open();
      const gone = new Error("gone");
      await assert.rejects(kit.invoke(binding, kit.works, AbortSignal.abort(gone)), (error) => error === gone);
    },
  },
  {
    name: "ends soon for a caller that goes while it works",
    feature: "OUTPUT",
    applies: ({ slow }) => slow !== undefined,
    async run(kit) {
      const { slow } = kit.harness;
      const { binding } = await kit.open();
      if (slow === undefined) return;
      const gone = new AbortController();
      const reason = new Error("gone");
      const call = kit.invoke(binding, slow, gone.signal);
      const cancel = setTimeout(() => gone.abort(reason), 100);
      const started = performance.now();
      await assert.rejects(call, (error) => error === reason || isReason("OUTCOME_UNKNOWN")(error));
      clearTimeout(cancel);
      assert(performance.now() - started < 5_000, "it ends soon after its caller is gone");
      await kit.invoke(binding, kit.works);
    },
  },
  {
    name: "does many operations at once",
    feature: "OUTPUT",
    async run(kit) {
      const { binding } = await kit.open();
      await Promise.all(Array.from({ length: 20 }, () => kit.invoke(binding, kit.works)));
    },
  },
  {
    name: "says that it is closed",
    feature: "OUTPUT",
    async run(kit) {
      const { binding, component } = await kit.open();
      await kit.invoke(binding, kit.works);
      await kit.close(component);
      await assert.rejects(kit.invoke(binding, kit.works), isReason("COMPONENT_UNAVAILABLE"));
    },
  },
];
