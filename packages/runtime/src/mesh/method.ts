import { ComponentError } from "@mecha/component";

/**
 * Refuses methods that are not passed on: TRACE, which shows what proves a caller, and whatever is not in capitals, since servers differ in
 * whether "delete" is DELETE. Throws BAD_REQUEST.
 */
export function requireMethod(method: string): void {
  if (method === "TRACE") throw new ComponentError("BAD_REQUEST", "method TRACE is not passed on");
  if (/^[A-Z][A-Z-]{0,31}$/.test(method)) return;
  throw new ComponentError(
    "BAD_REQUEST",
    `method ${JSON.stringify(method)} is not passed on: methods are capital letters`,
  );
}
