import { z } from "@mecha/component";

/** Every option says its purpose, unit, default and limit: the documentation is made of it. */
export const config = z.strictObject({
  root: z
    .string()
    .min(1)
    .describe(
      "The folder; nothing outside it is reached. A relative one is relative to the resource file. It must be there, unless `create`.",
    ),
  create: z.boolean().default(false).describe("Whether to make the folder if it is not there."),
  readOnly: z.boolean().default(false).describe("Whether it has the operations `read` and `list` only."),
  maxFileBytes: z
    .int()
    .min(1)
    .max(4 * 1024 * 1024)
    .default(4 * 1024 * 1024)
    .describe("The largest file that is read or written, in bytes."),
  watch: z
    .strictObject({
      intervalMs: z.int().min(10).max(3_600_000).default(1_000).describe("How often the folder is looked at, in ms."),
      existing: z
        .boolean()
        .default(false)
        .describe(
          "Whether files that are there when the component starts are events, too. With it a folder is a queue that survives restarts: handle a file, then delete it.",
        ),
      maxFiles: z
        .int()
        .min(1)
        .max(1_000_000)
        .default(10_000)
        .describe("The most files that are watched; with more the component is unhealthy and says so."),
    })
    .optional()
    .describe("Makes files that appear, change or vanish events. Default: there are none."),
});

export type LocalFileConfig = z.infer<typeof config>;
