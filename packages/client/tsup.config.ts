import { preset } from "../../tsup.preset.ts";

export default preset(
  {
    index: "src/index.ts",
    delivery: "src/delivery/index.ts",
    "transport/node": "src/transport/node.ts",
    "transport/browser": "src/transport/browser.ts",
  },
  // Only what users import has declarations. #transport is resolved where the client runs, or is bundled; the Standard Schema types are copied in, so that they are no dependency.
  {
    external: ["#transport"],
    dts: { entry: { index: "src/index.ts", delivery: "src/delivery/index.ts" }, resolve: ["@standard-schema/spec"] },
  },
);
