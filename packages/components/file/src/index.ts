import { resolve } from "node:path";
import { defineComponent, z } from "@mecha/component";
import { createSecretFolder } from "./secret.js";

/** Secrets from files, one per key, as Kubernetes and Docker mount them. */
export const file = defineComponent({
  type: "file",
  description: "Secrets from files: a folder with one file per key.",
  config: z.strictObject({
    path: z
      .string()
      .min(1)
      .optional()
      .describe(
        "The folder, relative to the resource file. Left out it is `secrets`, which need not exist; one that is named must, or the component does not start.",
      ),
  }),
  serves: { secret: {} },
  async create({ path }, { baseDir }) {
    const folder = createSecretFolder(resolve(baseDir, path ?? "secrets"));
    if (path !== undefined) await folder.requireExists();
    return {
      blocks: { secret: folder },
      health: () => (path === undefined ? Promise.resolve() : folder.requireExists()),
      async close() {},
    };
  },
});

export default file;
