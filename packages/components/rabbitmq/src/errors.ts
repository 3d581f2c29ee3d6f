import { ComponentError } from "@mecha/component";

/** The broker's reply codes that are not a bug of ours. */
const replyCodes = {
  notFound: 404,
  locked: 405,
  preconditionFailed: 406,
  accessRefused: 403,
  notAllowed: 530,
} as const;

/** An operation without an answer: its connection or channel was lost, or the broker said nothing. */
export class NoAnswer extends Error {
  constructor(
    message: string,
    /** Whether the broker may have got it, and so may have done it. */
    readonly sent: boolean,
    /** When trying again may help, in ms from now. */
    readonly retryAfterMs: number,
    cause?: unknown,
  ) {
    super(message, { cause });
  }
}

export function unavailable(message: string, retryAfterMs = 1000, cause?: unknown): ComponentError {
  return new ComponentError("COMPONENT_UNAVAILABLE", message, { retryAfterMs, cause });
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

/** Whether a queue or an exchange is not there. */
export const isNotFound = (error: unknown) => codeOf(error) === replyCodes.notFound;
/** Whether another connection holds an exclusive queue. */
export const isLocked = (error: unknown) => codeOf(error) === replyCodes.locked;
/** Whether an exchange is still used. */
export const isInUse = (error: unknown) => codeOf(error) === replyCodes.preconditionFailed;

/**
 * What a caller is told of a failure; what is not RabbitMQ's doing is handed on as it is: a bug.
 *
 * @param write what may have been done when there was no answer; undefined if it does not matter
 */
export function toComponentError(error: unknown, write?: string): unknown {
  if (error instanceof ComponentError) return error;
  if (error instanceof NoAnswer) {
    if (!error.sent || write === undefined) return unavailable(error.message, error.retryAfterMs, error);
    return new ComponentError("OUTCOME_UNKNOWN", `${error.message}; ${write}`, { cause: error });
  }
  const code = codeOf(error);
  if (code === replyCodes.preconditionFailed) {
    const words = "a queue or exchange of this name was made otherwise; delete it, or use another `prefix`";
    return new ComponentError("COMPONENT_UNAVAILABLE", words, { cause: error });
  }
  if (code === replyCodes.accessRefused || code === replyCodes.notAllowed) {
    const words = "RabbitMQ forbids this user what Mecha needs: to configure, write and read `<prefix>.*`";
    return new ComponentError("COMPONENT_UNAVAILABLE", words, { cause: error });
  }
  if (typeof code === "number" || isClosed(error)) return unavailable("RabbitMQ broke the operation off", 1000, error);
  return error;
}

/** The client library's words for what its connection or channel did not live to see. */
function isClosed(error: unknown): boolean {
  return error instanceof Error && /closed|closing|ended|ECONNRESET|EPIPE|heartbeat/i.test(error.message);
}

/** What a person can do about a connection that cannot be made; names the address, never what logs in. */
export function explain(error: unknown, address: string): ComponentError {
  if (error instanceof ComponentError) return error;
  const text = error instanceof Error ? error.message : String(error);
  const code = codeOf(error);
  const say = (words: string) => unavailable(words, 1000, error);
  if (code === "ECONNREFUSED") return say(`connection refused at ${address}; is RabbitMQ running?`);
  if (code === "ENOTFOUND" || code === "EAI_AGAIN")
    return say(`the host of ${address} is not known; is it spelt right?`);
  if (/ACCESS.REFUSED|403/i.test(text))
    return say(`RabbitMQ at ${address} refused the login; check username and password`);
  // The broker says why, but the client library only that it was no yes to opening the virtual host.
  if (/NOT.ALLOWED|vhost|530|ConnectionOpenOk/i.test(text))
    return say(`RabbitMQ at ${address} has no such vhost for this user; check vhost`);
  if (/ETIMEDOUT/.test(text)) return say(`RabbitMQ at ${address} did not answer in time`);
  if (/certificate|TLS|SSL/i.test(text)) return say(`TLS with RabbitMQ at ${address} failed: ${text}`);
  return say(`RabbitMQ at ${address} broke the connection off${code === undefined ? "" : ` (${String(code)})`}`);
}
