import { mergeConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";
import { preset } from "../../vitest.preset.ts";

/** What takes minutes, longest first: begun last it would run on alone. */
const long = ["loss", "slow-consumers", "outbox", "crash"];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const index = long.findIndex((name) => moduleId.endsWith(`/${name}.test.ts`));
      return index === -1 ? long.length : index;
    };
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}

/** These suites wait, most of the time, for processes that start, stop and recover: several files run at once, on however few cores. */
export default mergeConfig(preset, { test: { maxWorkers: 3, sequence: { sequencer: LongestFirst } } });
