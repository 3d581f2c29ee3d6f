import { preset } from "../../../tsup.preset.ts";
import { esbuildPlugin } from "./worker-source.ts";

export default preset({ index: "src/index.ts" }, { esbuildPlugins: [esbuildPlugin] });
