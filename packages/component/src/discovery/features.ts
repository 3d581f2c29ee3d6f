/**
 * What a discovery can do beyond telling where apps are: `REGISTER` takes registrations of runtimes, `LIST` tells which apps there are.
 */
export type DiscoveryFeature = "REGISTER" | "LIST";

/** How long an app stays known after its last instance has gone, in ms. */
export const appMemoryMs = 60 * 60 * 1000;
