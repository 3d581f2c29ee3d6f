/** An id that no other write has: 128 random bits. (`crypto.randomUUID` is missing on web pages without TLS.) */
export function createRequestId(): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(36)).join("-");
}
