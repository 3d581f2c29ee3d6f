import { preset } from "../../tsup.preset.ts";

// The CLI ships as a bundle: one file to start, nothing to resolve. What is rare is split off and loaded when it is needed.
export default preset({ mecha: "src/mecha.ts" }, { dts: false, noExternal: [/.*/] });
