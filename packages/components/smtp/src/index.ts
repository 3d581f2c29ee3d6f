import { type Binding, bindingLimits, ComponentError, defineComponent, type InvokeCall } from "@mecha/component";
import { config, type SmtpConfig } from "./config.js";
import { deliver, probe } from "./delivery.js";
import { createGate } from "./gate.js";
import { toMail } from "./mail.js";
import { operations } from "./operations.js";

/** E-mail through an SMTP server. */
export const smtp = defineComponent({
  type: "smtp",
  description: "E-mail through an SMTP server.",
  config,
  serves: { binding: { features: ["OUTPUT"], operations } },
  async create(options) {
    let closed = false;
    /** Why the server was not reached last; a server that works is not asked how it is. */
    let fault: unknown;
    const gate = createGate(options.maxConnections);

    const send = async (call: InvokeCall) => {
      if (closed) throw new ComponentError("COMPONENT_UNAVAILABLE", "the component is closed");
      call.signal.throwIfAborted();
      const mail = await toMail(options, call);
      const { accepted, rejected } = await gate
        .pass(call.signal, () => withinTime(options, call.signal, (signal) => deliver(options, mail, signal)))
        .catch((error: unknown) => {
          if (error instanceof ComponentError && error.reason === "COMPONENT_UNAVAILABLE") fault = error;
          throw error;
        });
      fault = undefined;
      const metadata = {
        messageId: mail.messageId,
        accepted: accepted.join(", "),
        ...(rejected.length > 0 && { rejected: rejected.join(", ") }),
      };
      return { data: new Uint8Array(), contentType: "", metadata };
    };

    const binding: Binding = {
      features: ["OUTPUT"],
      operations,
      maxDataBytes: bindingLimits.maxDataBytes,
      invoke: send,
    };
    return {
      blocks: { binding },
      async health(signal) {
        if (fault === undefined) return;
        await probe(options, signal);
        fault = undefined;
      },
      async close() {
        closed = true;
      },
    };
  },
});

/** Gives a mail its time. */
async function withinTime<T>(
  { host, timeoutMs }: SmtpConfig,
  caller: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const timeUp = new AbortController();
  const late = new ComponentError(
    "COMPONENT_UNAVAILABLE",
    `server ${host} did not take the mail within ${timeoutMs} ms`,
    { retryAfterMs: 5_000 },
  );
  const timer = setTimeout(() => timeUp.abort(late), timeoutMs);
  try {
    return await work(AbortSignal.any([caller, timeUp.signal]));
  } finally {
    clearTimeout(timer);
  }
}

export default smtp;
