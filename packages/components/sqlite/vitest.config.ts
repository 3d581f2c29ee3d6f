import { mergeConfig } from "vitest/config";
import { preset } from "../../../vitest.preset.ts";
import { vitePlugin } from "./worker-source.ts";

// Without the module cache: it knows the worker's source by its first file alone, and would test an old one after a change in another.
export default mergeConfig(preset, { plugins: [vitePlugin], test: { fsModuleCache: false } });
