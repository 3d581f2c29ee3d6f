import { describe, expect, test } from "vitest";
import type { Backend } from "../src/backends.ts";
import type { Kill } from "../src/loss/kills.ts";
import { tryLoss } from "../src/loss/run.ts";
import { isSubjectMissing, subjects } from "../src/loss/subjects.ts";

// `pnpm loss` does the same in 30 rounds.
const rounds = 3;
const seed = process.env.MECHA_LOSS_SEED ?? Math.random().toString(36).slice(2, 10);

describe.each(subjects)("$name", (subject) => {
  test.skipIf(isSubjectMissing(subject))(
    `loses and reorders no event while everything is killed (MECHA_LOSS_SEED=${seed})`,
    async () => {
      const report = await tryLoss(subject, { rounds, seed });
      expect(report).toMatchObject({ lost: 0, reordered: 0, foreign: 0, dead: 0 });
      expect(report.acknowledged).toBeGreaterThan(rounds);
    },
    240_000,
  );
});

test("what forgets with its process is found out", async () => {
  const forgetful: Backend = {
    name: "memory",
    blocks: ["pubsub"],
    ordersBy: "key",
    needs: [],
    resources: () => `apiVersion: mecha.dev/v1
kind: Component
metadata: { name: main }
spec: { type: memory, acceptDurability: PROCESS }
`,
  };
  // While nobody consumes events pile up, and then the runtime goes with them.
  const kills: Kill[] = [
    { victim: "subscriber", index: 0, atMs: 0, downMs: 1_000 },
    { victim: "runtime", index: 0, atMs: 500, downMs: 0 },
  ];
  const report = await tryLoss(
    { name: "memory", backend: forgetful, outbox: false },
    { rounds: 1, seed, kills, patienceMs: 2_000 },
  );
  expect(report.lost).toBeGreaterThan(0);
}, 120_000);
