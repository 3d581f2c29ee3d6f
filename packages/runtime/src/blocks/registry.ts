import type { Blocks } from "@mecha/component";
import { bindingBlock } from "./binding/block.js";
import type { Block } from "./block.js";
import { pubsubBlock } from "./pubsub/block.js";
import { stateBlock } from "./state/block.js";

/** The name of a block, as `spec.blocks` has it: "state". */
export type BlockName = keyof Blocks;

/** Every block that this runtime serves: adding one adds a line. "configuration" is served to resources (`$secret`), not to apps. */
export const blocks: { readonly [Name in BlockName]?: Block | "configuration" } = {
  state: stateBlock,
  pubsub: pubsubBlock,
  binding: bindingBlock,
  secret: "configuration",
};

/** Every block's name. */
export const blockNames = Object.keys(blocks) as BlockName[];

/** The blocks that apps call, with their names. */
export const appBlocks = blockNames.flatMap((name) => {
  const block = blocks[name];
  return typeof block === "object" ? [{ name, ...block }] : [];
});
