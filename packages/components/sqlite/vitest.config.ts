import { mergeConfig } from "vitest/config";
import { preset } from "../../../vitest.preset.ts";
import { vitePlugin } from "./worker-source.ts";

export default mergeConfig(preset, { plugins: [vitePlugin] });
