import { mkdir, realpath, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { type BindingFeature, ComponentError, defineComponent } from "@mecha/component";
import { createFileBinding } from "./binding.js";
import { config, type LocalFileConfig } from "./config.js";
import { createFiles } from "./files.js";
import { allOperations, events } from "./operations.js";
import { watchFolder } from "./watch.js";

/** Files in one folder, read and written by name. */
export const localfile = defineComponent({
  type: "localfile",
  description: "Files in one folder, read and written by name.",
  config,
  serves: { binding: { features: ["OUTPUT", "INPUT"], operations: allOperations, input: events } },
  async create(options, context) {
    const root = await openRoot(options, context.baseDir);
    const watch = options.watch && (await watchFolder(root, options.watch, context));
    let closed = false;
    const features: BindingFeature[] = watch === undefined ? ["OUTPUT"] : ["OUTPUT", "INPUT"];
    const binding = createFileBinding(createFiles(root, options.maxFileBytes), options, () => closed);
    const input = watch && { ...events, consume: watch.queue.consume };
    return {
      blocks: { binding: { ...binding, features, ...(input && { input }) } },
      async health() {
        if (watch?.fault !== undefined) throw watch.fault;
        await stat(root).catch((cause: unknown) => {
          throw new ComponentError("COMPONENT_UNAVAILABLE", `root "${options.root}" is not there any more`, { cause });
        });
      },
      async close() {
        closed = true;
        watch?.close();
      },
    };
  },
});

/** The root's real path: links above it are the operator's, links below it are nobody's. */
async function openRoot({ root, create }: LocalFileConfig, baseDir: string): Promise<string> {
  const path = resolve(baseDir, root);
  try {
    if (create) await mkdir(path, { recursive: true });
    const real = await realpath(path);
    if ((await stat(real)).isDirectory()) return real;
  } catch (cause) {
    const hint = create ? "it cannot be made" : "it is not there, or cannot be read; make it, or set create: true";
    throw new ComponentError("COMPONENT_UNAVAILABLE", `root "${root}": ${hint}`, { cause });
  }
  throw new ComponentError("COMPONENT_UNAVAILABLE", `root "${root}" is no folder`);
}

export default localfile;
