/**
 * What a write that was answered survives: `PROCESS` nothing, `HOST` a crash of the process and of its host, `REPLICATED` the
 * loss of a host. A component reports what its configuration backs, not what its engine could do.
 */
export type Durability = "PROCESS" | "HOST" | "REPLICATED";
