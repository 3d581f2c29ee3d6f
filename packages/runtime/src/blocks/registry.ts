import type { Blocks } from "@mecha/component";
import { bindingBlock } from "./binding/block.js";
import type { Block } from "./block.js";
import { pubsubBlock } from "./pubsub/block.js";
import { stateBlock } from "./state/block.js";

/** The name of a block, as `spec.blocks` has it: "state". */
export type BlockName = keyof Blocks;

/**
 * Every block that this runtime serves: adding one adds a line. "configuration" is served to resources (`$secret`), and "mesh" to the runtime, which
 * finds other apps by it; apps call neither.
 */
export const blocks: { readonly [Name in BlockName]?: Block | "configuration" | "mesh" } = {
  state: stateBlock,
  pubsub: pubsubBlock,
  binding: bindingBlock,
  secret: "configuration",
  discovery: "mesh",
};

/** Every block's name. */
export const blockNames = Object.keys(blocks) as BlockName[];

/** The blocks of which a call gets the default component unless it names one: those of apps, and discovery. */
export const defaultedBlocks: readonly {
  readonly name: BlockName;
  readonly named?: boolean;
  /** The block whose default is this one's, too, where nobody says otherwise. */
  readonly follows?: BlockName;
}[] = blockNames.flatMap((name): (typeof defaultedBlocks)[number][] => {
  const block = blocks[name];
  if (block === "mesh") return [{ name, follows: "state" }];
  return typeof block === "object" ? [{ name, named: block.named ?? false }] : [];
});

/** The blocks that apps call, with their names. */
export const appBlocks = blockNames.flatMap((name) => {
  const block = blocks[name];
  return typeof block === "object" ? [{ name, ...block }] : [];
});
