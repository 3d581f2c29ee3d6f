import type { Blocks } from "@mecha/component";
import type { Block } from "./block.js";
import { stateBlock } from "./state/block.js";

/** The name of a block, as `spec.blocks` has it: "state". */
export type BlockName = keyof Blocks;

/** Every block: adding one adds a line. `undefined` is served to the runtime's own configuration, not to apps. */
export const blocks: { readonly [Name in BlockName]-?: Block | undefined } = {
  state: stateBlock,
  secret: undefined,
};

/** Every block's name. */
export const blockNames = Object.keys(blocks) as BlockName[];

/** The blocks that apps call, with their names. */
export const appBlocks = blockNames.flatMap((name) => {
  const block = blocks[name];
  return block === undefined ? [] : [{ name, ...block }];
});
