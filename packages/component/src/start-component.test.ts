import { expect, test } from "vitest";
import { systemClock } from "./clock.js";
import { type ComponentContext, defineComponent, z } from "./index.js";
import { startComponent } from "./start-component.js";

const probe = (look: (context: ComponentContext, size: number) => void) =>
  defineComponent({
    type: "probe",
    description: "Looks at what it is started with.",
    config: z.strictObject({ size: z.int().default(3).describe("How much.") }),
    serves: {},
    async create({ size }, context) {
      look(context, size);
      return { blocks: {}, health: async () => {}, close: async () => {} };
    },
  });

test("a component gets its configuration parsed, and a context that is complete", async () => {
  const seen: unknown[] = [];
  const definition = probe(({ name, baseDir, clock, signal }, size) =>
    seen.push(name, baseDir, clock, signal.aborted, size),
  );
  await startComponent(definition, {});
  expect(seen).toEqual(["probe", process.cwd(), systemClock, false, 3]);
  await expect(startComponent(definition, { size: "3" })).rejects.toThrow("expected number");
});

test("one that keeps files does not get to litter the working directory", async () => {
  const definition = probe(({ dataDir }) => expect(dataDir).toBe("/somewhere"));
  await expect(startComponent(definition, {})).rejects.toThrow("pass startComponent a dataDir");
  await startComponent(definition, {}, { dataDir: "/somewhere" });
});
