import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema, RetryInfoSchema } from "@mecha/api/rpc";

/** Why the authority refuses, and the code that each reason has. */
const codes = {
  BAD_REQUEST: Code.InvalidArgument,
  BAD_TOKEN: Code.Unauthenticated,
  BAD_CERTIFICATE: Code.Unauthenticated,
  OUT_OF_SCOPE: Code.PermissionDenied,
  RATE_LIMITED: Code.ResourceExhausted,
  INTERNAL: Code.Internal,
} as const;

/** An error as it goes over the wire: with its reason, and for how long to wait. */
export function createRefusal(
  reason: keyof typeof codes,
  message: string,
  { retryAfterMs, metadata = {} }: { retryAfterMs?: number; metadata?: Record<string, string> } = {},
): ConnectError {
  const details: ConstructorParameters<typeof ConnectError>[3] = [
    { desc: ErrorInfoSchema, value: { reason, domain: "mecha.dev", metadata } },
  ];
  if (retryAfterMs !== undefined) {
    const seconds = BigInt(Math.ceil(retryAfterMs / 1000));
    details.push({ desc: RetryInfoSchema, value: { retryDelay: { seconds } } });
  }
  return new ConnectError(message, codes[reason], undefined, details);
}
