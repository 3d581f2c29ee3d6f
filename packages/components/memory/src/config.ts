import { z } from "@mecha/component";

export const config = z.strictObject({
  maxBytes: z
    .int()
    .min(1024 * 1024)
    .default(256 * 1024 * 1024)
    .describe(
      "How much memory each block may use, in bytes, keys and bookkeeping included (estimated); a write beyond it is STORAGE_FULL.",
    ),
  history: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(10_000)
    .describe(
      "How many deletions of each app are remembered for watches that resume; one that missed more is RESUME_EXPIRED.",
    ),
  retainedEvents: z
    .int()
    .min(0)
    .max(1_000_000)
    .default(10_000)
    .describe("How many events each topic keeps for groups that begin with the past (REPLAY)."),
});

export type MemoryConfig = z.infer<typeof config>;
