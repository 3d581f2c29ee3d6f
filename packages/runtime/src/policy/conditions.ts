import { z } from "@mecha/component";

/** How an attempt ended, whatever it was an attempt of. */
export type Outcome =
  /** An answer came. `code` is that of Connect or gRPC where the call is one; a component's has no status. */
  | { readonly type: "answer"; readonly status: number; readonly code: string | undefined }
  /** Nobody was reached, or whoever was refused the call unseen: nothing was done. */
  | { readonly type: "connect-failure" }
  /** The connection broke before there was an answer. */
  | { readonly type: "reset" }
  /** It took longer than an attempt may. */
  | { readonly type: "timeout" };

const codes = [
  "canceled",
  "unknown",
  "deadline_exceeded",
  "resource_exhausted",
  "aborted",
  "internal",
  "unavailable",
  "data_loss",
] as const;

/** The codes of calls whose server is at fault: what 5xx is to HTTP. */
const serverCodes = new Set<string>(["unknown", "deadline_exceeded", "internal", "unavailable", "data_loss"]);

const names = ["connect-failure", "reset", "timeout", "gateway-error", "5xx", ...codes] as const;

/** Conditions, as YAML has them. */
export const conditions = (what: string) =>
  z
    .array(
      z.union([
        z.enum(names),
        z.int("must be one of the names, or a status").min(400, "must be 400 to 599").max(599, "must be 400 to 599"),
      ]),
    )
    .min(1)
    .describe(
      `${what} connect-failure: no instance was reached, or it refused the call unseen. reset: the connection broke before an answer. timeout: no answer within \`timeout.perTry\`. gateway-error: 502, 503 or 504. 5xx: any of these, or the gRPC and Connect codes unknown, deadline_exceeded, internal, unavailable and data_loss. A number is an HTTP status (400 to 599), any other name a gRPC or Connect code; unavailable is also 503, resource_exhausted 429, and deadline_exceeded 504.`,
    );

export type Condition = (typeof names)[number] | number;

/** The statuses that say what a code says. */
const statusOf: Readonly<Record<string, number>> = {
  unavailable: 503,
  resource_exhausted: 429,
  deadline_exceeded: 504,
};

/** A function that tells whether an outcome meets one of `on`. */
export function meets(on: readonly Condition[]): (outcome: Outcome) => boolean {
  const wanted = new Set<Condition>(on);
  const answers = (status: number, code: string | undefined): boolean => {
    if (code !== undefined && (wanted.has(code as Condition) || (wanted.has("5xx") && serverCodes.has(code)))) {
      return true;
    }
    if (wanted.has(status)) return true;
    if (status < 400) return false;
    if (status >= 500 && wanted.has("5xx")) return true;
    if (status >= 502 && status <= 504 && wanted.has("gateway-error")) return true;
    return code === undefined && codes.some((name) => statusOf[name] === status && wanted.has(name));
  };
  return (outcome) => (outcome.type === "answer" ? answers(outcome.status, outcome.code) : wanted.has(outcome.type));
}

/** What counts against an instance, an app or a component where nothing else is said. */
export const failures: readonly Condition[] = ["connect-failure", "reset", "timeout", "5xx"];
