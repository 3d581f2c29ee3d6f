// The mail provider of the story: an SMTP server that keeps what it is sent.
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { SMTPServer } from "smtp-server";

/** A mail that arrived. */
export interface Mail {
  readonly id: string;
  readonly to: string;
  readonly subject: string;
}

export class Mailbox implements AsyncDisposable {
  /** By message id: a mail that comes twice is one mail. */
  readonly mails = new Map<string, Mail>();
  readonly #server = new SMTPServer({
    authOptional: true,
    disabledCommands: ["STARTTLS"],
    onData: async (stream, _session, done) => {
      const raw = await text(stream);
      const header = (name: string) => new RegExp(`^${name}: *(.*?)\r$`, "im").exec(raw)?.[1] ?? "";
      const id = header("message-id");
      this.mails.set(id, { id, to: header("to"), subject: header("subject") });
      done();
    },
  });

  async listen(): Promise<number> {
    const server = this.#server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => this.#server.close(resolve));
  }
}
