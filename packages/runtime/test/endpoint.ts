import type { Endpoint } from "../src/mesh/balancer.js";

/** An instance that has had no call yet. */
export const endpoint = (id: string, version = ""): Endpoint => ({
  instance: { id, app: "orders", address: `${id}:1`, version, zone: "", weight: 100 },
  inFlight: 0,
  answeredAt: 0,
});
