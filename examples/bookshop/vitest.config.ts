export { preset as default } from "../../vitest.preset.ts";
