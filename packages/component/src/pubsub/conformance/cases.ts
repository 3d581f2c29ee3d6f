import type { PubSubFeature } from "../features.js";
import type { PubSubHarness } from "./harness.js";
import type { PubSubKit } from "./kit.js";

/** A case before it is bound to a harness. */
export interface CaseDefinition {
  readonly name: string;
  readonly feature?: PubSubFeature;
  /** Whether the case means something for this harness. Default: for every one. */
  readonly applies?: (harness: PubSubHarness) => boolean;
  readonly run: (kit: PubSubKit) => Promise<void>;
}
