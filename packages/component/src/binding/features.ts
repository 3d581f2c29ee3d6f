/** What a binding can do: operations (`Invoke`), events (`Subscribe`), or both; see `mecha.binding.v1.Feature`. */
export type BindingFeature = "OUTPUT" | "INPUT";

/** The limits of the binding block, the same for every component (contracts: `mecha.binding.v1`). */
export const bindingLimits = {
  /** What an operation takes and what it answers with, in bytes, unless the component reports another limit. */
  maxDataBytes: 4 * 1024 * 1024,
  maxContentTypeBytes: 256,
  /** Entries of a call's `metadata`. */
  maxMetadataEntries: 64,
  maxMetadataValueBytes: 8192,
} as const;
