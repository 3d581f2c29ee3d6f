import type { IncomingHttpHeaders } from "node:http";
import type { AccessControl } from "../access/control.js";

/** What a call of another app passes before it reaches this runtime's app. */
export interface Gate {
  readonly access: AccessControl;
  /** Lets a call in, or throws why not. */
  admit(arrival: Arrival): void;
}

/** A call at the gate. */
export interface Arrival {
  /** The calling app, as its certificate says. */
  readonly from: string;
  readonly method: string;
  /** In its normal form, without the query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
}

export function createGate({ access }: Pick<Gate, "access">): Gate {
  return {
    access,
    admit({ from, method, path }) {
      access.check({ from, method, path, claims: undefined });
    },
  };
}
