import { Readable } from "node:stream";
import { ComponentError } from "@mecha/component";
import type { NodemailerError } from "nodemailer/lib/errors";
import SMTPConnection, { type SMTPConnectionSendInfo } from "nodemailer/lib/smtp-connection";
import type { SmtpConfig } from "./config.js";
import type { Mail } from "./mail.js";

/** What the server took. */
export interface Receipt {
  readonly accepted: readonly string[];
  readonly rejected: readonly string[];
}

const defaultPorts = { starttls: 587, implicit: 465, none: 25 };

/**
 * Hands one mail to the server, over a connection of its own. Until the last line of the mail was sent the server has no mail; from then on, until it
 * answers, it may.
 */
export async function deliver(config: SmtpConfig, mail: Mail, signal: AbortSignal): Promise<Receipt> {
  let sentWhole = false;
  const session = await openSession(config, signal);
  const give = new Promise<SMTPConnectionSendInfo>((resolve, reject) => {
    const content = Readable.from([mail.content]).once("end", () => {
      sentWhole = true;
    });
    session.onError(reject);
    session.connection.send(
      { from: mail.from, to: mail.recipients, size: mail.content.byteLength },
      content,
      (error, info) => {
        if (error) reject(error);
        else resolve(info);
      },
    );
  });
  try {
    const { accepted, rejected } = await give;
    session.connection.quit();
    return { accepted, rejected };
  } catch (error) {
    session.connection.close();
    throw explain(error, config.host, signal, sentWhole);
  } finally {
    session.release();
  }
}

/** Asks whether the server is there, and takes what it is told to sign in with. */
export async function probe(config: SmtpConfig, signal: AbortSignal): Promise<void> {
  const session = await openSession(config, signal);
  session.connection.quit();
  session.release();
}

/** A connection that is signed in. */
interface Session {
  readonly connection: SMTPConnection;
  /** Who hears when the connection fails, or the caller goes. */
  onError(listener: (error: unknown) => void): void;
  release(): void;
}

async function openSession(config: SmtpConfig, signal: AbortSignal): Promise<Session> {
  const { host, port = defaultPorts[config.tls], tls, ca, username, password, timeoutMs } = config;
  const connection = new SMTPConnection({
    host,
    port,
    secure: tls === "implicit",
    requireTLS: tls === "starttls",
    ignoreTLS: tls === "none",
    tls: { minVersion: "TLSv1.2", ...(ca !== undefined && { ca }) },
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    socketTimeout: timeoutMs,
  });
  let listener: (error: unknown) => void = () => {};
  const abort = () => {
    connection.close();
    listener(signal.reason);
  };
  connection.on("error", (error: unknown) => listener(error));
  connection.on("end", () => listener(new Error("the server closed the connection")));
  signal.addEventListener("abort", abort, { once: true });
  const step = (begin: (done: (error?: NodemailerError | null) => void) => void) =>
    new Promise<void>((resolve, reject) => {
      listener = reject;
      begin((error) => (error ? reject(error) : resolve()));
    });
  try {
    signal.throwIfAborted();
    await step((done) => connection.connect(done));
    if (username !== undefined && password !== undefined) {
      await step((done) => connection.login({ credentials: { user: username, pass: password } }, done));
    }
  } catch (error) {
    signal.removeEventListener("abort", abort);
    connection.close();
    throw explain(error, host, signal, false);
  }
  return {
    connection,
    onError(next) {
      listener = next;
    },
    release: () => signal.removeEventListener("abort", abort),
  };
}

/** What became of a mail that was not taken: nothing, or nobody knows. */
function explain(error: unknown, host: string, signal: AbortSignal, mayBeDone: boolean): unknown {
  const { code = "", responseCode = 0, response, message } = error as NodemailerError;
  // The server said no: so it has no mail, whatever was sent.
  if (responseCode >= 500 && (code === "EENVELOPE" || code === "EMESSAGE")) {
    return new ComponentError("BAD_REQUEST", `server ${host} refused the mail: ${oneLine(response ?? message)}`, {
      cause: error,
    });
  }
  if (responseCode === 0 && mayBeDone) {
    const why = signal.aborted ? "the call was given up" : oneLine(message);
    const what = `the mail was sent, but server ${host} did not say that it has it: ${why}`;
    return new ComponentError("OUTCOME_UNKNOWN", what, { cause: error });
  }
  if (signal.aborted) return signal.reason;
  const what = code === "EAUTH" ? "did not let the component sign in; check username and password" : oneLine(message);
  return new ComponentError("COMPONENT_UNAVAILABLE", `server ${host}: ${what}; nothing was sent`, {
    retryAfterMs: 5_000,
    cause: error,
  });
}

/** What a server says, cut to what a message holds. */
const oneLine = (text: string) => text.replaceAll(/\s+/g, " ").slice(0, 300);
