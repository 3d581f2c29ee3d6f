import { z } from "@mecha/component";
import { defineSection } from "../section.js";

/** Whether outsiders reach the app. */
export const edge = defineSection({
  schema: z
    .strictObject({
      expose: z.boolean().describe("Whether the edge port (`--edge-port`) passes calls on to the app."),
    })
    .describe("What comes from outside, over the edge port of a runtime. Default: nothing does."),
  targets: ["app"],
  by: "caller",
  check(_, { target, add }) {
    if (target.name === "*") add("name the app: what outsiders reach is said one by one");
  },
});
