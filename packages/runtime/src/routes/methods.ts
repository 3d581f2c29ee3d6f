/** Whether a list of methods has one; where GET is, so is HEAD, which is GET without its body (RFC 9110, section 9.3.2). */
export function includesMethod(methods: readonly string[], method: string): boolean {
  return methods.includes(method) || (method === "HEAD" && methods.includes("GET"));
}
