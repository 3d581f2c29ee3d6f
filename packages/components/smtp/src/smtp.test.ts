import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { ComponentError, checkInvocation } from "@mecha/component";
import { bindingConformance, startComponent } from "@mecha/component/conformance";
import { SMTPServer } from "smtp-server";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { certificateOf, startServer } from "../test/server.js";
import { smtp } from "./index.js";

const from = "The shop <shop@example.com>";

describe("conformance", () => {
  const server = new SMTPServer({
    ...certificateOf(),
    authOptional: true,
    onData(stream, _, done) {
      stream.resume();
      stream.on("end", () => done());
    },
  });
  beforeAll(() => new Promise<void>((resolve) => server.listen(0, "localhost", resolve)));
  afterAll(() => new Promise<void>((resolve) => server.close(() => resolve())));
  const cases = bindingConformance({
    open: () =>
      startComponent(smtp, {
        host: "localhost",
        port: (server.server.address() as AddressInfo).port,
        tls: "none",
        from,
      }),
    features: ["OUTPUT"],
    works: { operation: "send", data: "hello", metadata: { to: "anna@example.com" } },
  });
  for (const { name, run } of cases) test(name, run);
});

/** Calls the component as the runtime does: checked against its description first. */
async function open(config: Record<string, unknown>) {
  const component = await startComponent(smtp, { host: "localhost", from, tls: "none", ...config });
  onTestFinished(() => component.close());
  const { binding } = component.blocks;
  if (binding?.invoke === undefined) throw new Error("the component has no operations");
  const { invoke } = binding;
  const send = async (
    metadata: Record<string, string>,
    data = "",
    contentType = "",
    signal = new AbortController().signal,
  ) => {
    const call = { operation: "send", metadata, data: Buffer.from(data), contentType };
    checkInvocation(binding, call, "smtp");
    return invoke({ ...call, keyspace: "default/shop", signal });
  };
  return { component, send };
}

const reasonOf = async (call: Promise<unknown>) => {
  const error = await call.then(
    () => "it did not fail",
    (reason: unknown) => reason,
  );
  return error instanceof ComponentError ? error.reason : String(error);
};

const headerOf = (content: string, name: string) => new RegExp(`^${name}: (.*(\r\n[ \t].*)*)`, "im").exec(content)?.[1];

describe("a mail", () => {
  test("goes to whom it names, with what it holds", async () => {
    const server = await startServer();
    const { send } = await open({ port: server.port });
    const metadata = {
      to: '"Müller, Anna" <anna@example.com>, bob@example.com',
      cc: "carl@example.com",
      bcc: "dora@example.com, bob@example.com",
      replyTo: "help@example.com",
      subject: "Grüße",
    };
    const answer = await send(metadata, "Danke für die Bestellung.\n.\n", "text/plain");
    expect(answer.metadata).toMatchObject({
      accepted: "anna@example.com, bob@example.com, carl@example.com, dora@example.com",
    });
    const [mail] = server.received;
    expect(mail).toMatchObject({
      from: "shop@example.com",
      to: ["anna@example.com", "bob@example.com", "carl@example.com", "dora@example.com"],
    });
    const content = mail?.content ?? "";
    expect(headerOf(content, "from")).toBe(from);
    expect(headerOf(content, "cc")).toBe("carl@example.com");
    expect(headerOf(content, "reply-to")).toBe("help@example.com");
    expect(headerOf(content, "message-id")).toBe(answer.metadata.messageId);
    expect(content).not.toMatch(/dora/);
    expect(headerOf(content, "subject")).toMatch(/^=\?UTF-8\?/);
  });

  test("may be HTML, or parts with attachments, and bears the id that it is given", async () => {
    const server = await startServer();
    const { send } = await open({ port: server.port });
    await send({ to: "anna@example.com", messageId: "<order-7@example.com>" }, "<b>hi</b>", "text/html; charset=utf-8");
    const parts = {
      text: "hi",
      html: "<b>hi</b>",
      attachments: [{ filename: "a.bin", content: Buffer.from([0, 255]).toString("base64") }],
    };
    await send({ to: "anna@example.com" }, JSON.stringify(parts), "application/json");
    const [html, mixed] = server.received.map(({ content }) => content);
    expect(headerOf(html ?? "", "content-type")).toMatch(/^text\/html/);
    expect(headerOf(html ?? "", "message-id")).toBe("<order-7@example.com>");
    expect(headerOf(mixed ?? "", "content-type")).toMatch(/^multipart\/mixed/);
    expect(mixed).toMatch(/filename=a\.bin[\s\S]*AP8=/);
  });

  test.each([
    [{ to: "anna@example.com\r\nBcc: eve@example.com" }, /to is/],
    [{ to: "anna@example.com", cc: "x@example.com\nSubject: y" }, /cc is/],
    [{ to: "anna@example.com", subject: "hello\r\nBcc: eve@example.com" }, /subject must be one line/],
    [{ to: "anna@example.com", messageId: "<a@b>\r\nX: y" }, /messageId/],
    [{ to: "anna@example.com", messageId: "a@b" }, /messageId/],
    [{ to: "anna@example.com", subject: "x".repeat(999) }, /998/],
    [{ to: "" }, /to is/],
    [{ to: "anna" }, /to is/],
    [{ to: "anna@example.com,," + "bob" }, /to is/],
    [{ to: "anna@example.com", replyTo: "<a@b>\0" }, /replyTo/],
    [{ to: "a@example.com, b@example.com, c@example.com" }, /3 recipients; at most 2/],
  ])("of %j is refused, and no header is smuggled in", async (metadata, message) => {
    const server = await startServer();
    const { send } = await open({ port: server.port, maxRecipients: 2 });
    await expect(send(metadata, "x")).rejects.toMatchObject({
      reason: "BAD_REQUEST",
      message: expect.stringMatching(message),
    });
    expect(server.received).toEqual([]);
  });

  test.each([
    ["{", "application/json"],
    ['{"txt": "x"}', "application/json"],
    ['{"attachments": [{"filename": "a", "content": "!"}]}', "application/json"],
    ['{"attachments": [{"filename": "a", "path": "/etc/passwd", "content": ""}]}', "application/json"],
    ['{"attachments": [{"filename": "a\\r\\nX: y", "content": ""}]}', "application/json"],
    ["x", "image/png"],
  ])("with data %j of type %s is refused", async (data, contentType) => {
    const server = await startServer();
    const { send } = await open({ port: server.port });
    expect(await reasonOf(send({ to: "anna@example.com" }, data, contentType))).toBe("BAD_REQUEST");
    expect(server.received).toEqual([]);
  });
});

describe("a connection", () => {
  const ca = () => certificateOf().cert;

  test.each([
    ["starttls", {}],
    ["implicit", { secure: true }],
  ])("is encrypted by %s, to a server that is who it says", async (tls, options) => {
    const server = await startServer(options);
    const { send } = await open({ port: server.port, tls, ca: ca() });
    await send({ to: "anna@example.com" });
    expect(server.received).toMatchObject([{ secure: true }]);
    const distrusting = await open({ port: server.port, tls });
    expect(await reasonOf(distrusting.send({ to: "anna@example.com" }))).toBe("COMPONENT_UNAVAILABLE");
    expect(server.received).toHaveLength(1);
  });

  test("by default is encrypted or is not used", async () => {
    const server = await startServer({ disabledCommands: ["STARTTLS"] });
    const { send } = await open({ port: server.port, tls: undefined });
    expect(await reasonOf(send({ to: "anna@example.com" }))).toBe("COMPONENT_UNAVAILABLE");
    expect(server.received).toEqual([]);
  });

  test("signs in, and says what is wrong when it may not", async () => {
    const server = await startServer({ authOptional: false });
    const sender = await open({ port: server.port, tls: "starttls", ca: ca(), username: "shop", password: "right" });
    await sender.send({ to: "anna@example.com" });
    expect(server.received).toMatchObject([{ user: "shop" }]);
    const stranger = await open({ port: server.port, tls: "starttls", ca: ca(), username: "shop", password: "wrong" });
    await expect(stranger.send({ to: "anna@example.com" })).rejects.toMatchObject({
      reason: "COMPONENT_UNAVAILABLE",
      message: expect.stringMatching(/check username and password/),
    });
    await expect(stranger.send({ to: "anna@example.com" })).rejects.not.toMatchObject({
      message: expect.stringMatching(/wrong/),
    });
  });

  test("is one of so many at a time and no more", async () => {
    let [atWork, most] = [0, 0];
    const server = await startServer({
      onMailFrom(_address, _session, done) {
        atWork += 1;
        most = Math.max(most, atWork);
        done();
      },
      onData(stream, _session, done) {
        stream.resume();
        stream.on("end", () => {
          atWork -= 1;
          done();
        });
      },
    });
    const { send } = await open({ port: server.port, maxConnections: 3 });
    await Promise.all(Array.from({ length: 20 }, () => send({ to: "anna@example.com" })));
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(3);
  });
});

describe("a server that", () => {
  test("is away makes the component unhealthy until it is back, and nothing was sent", async () => {
    const server = await startServer();
    const { port } = server;
    await new Promise<void>((resolve) => server.server.close(() => resolve()));
    const { component, send } = await open({ port });
    const { signal } = new AbortController();
    expect(await reasonOf(send({ to: "anna@example.com" }))).toBe("COMPONENT_UNAVAILABLE");
    expect(await reasonOf(component.health(signal))).toBe("COMPONENT_UNAVAILABLE");
    const back = new SMTPServer({ ...certificateOf(), authOptional: true });
    await new Promise<void>((resolve) => back.listen(port, "localhost", resolve));
    onTestFinished(() => new Promise<void>((resolve) => back.close(() => resolve())));
    await component.health(signal);
  });

  test("refuses a recipient, or all of them, or the mail, is told apart", async () => {
    const refuse = (status: number) => Object.assign(new Error("no such user"), { responseCode: status });
    const server = await startServer({
      onRcptTo({ address }, _, done) {
        if (address.startsWith("nobody")) done(refuse(550));
        else if (address.startsWith("later")) done(refuse(450));
        else done();
      },
    });
    const { send } = await open({ port: server.port });
    const some = await send({ to: "anna@example.com, nobody@example.com" });
    expect(some.metadata).toMatchObject({ accepted: "anna@example.com", rejected: "nobody@example.com" });
    expect(await reasonOf(send({ to: "nobody@example.com" }))).toBe("BAD_REQUEST");
    expect(await reasonOf(send({ to: "later@example.com" }))).toBe("COMPONENT_UNAVAILABLE");
    const full = await startServer({
      onData(stream, _, done) {
        stream.resume();
        stream.on("end", () => done(refuse(552)));
      },
    });
    const other = await open({ port: full.port });
    expect(await reasonOf(other.send({ to: "anna@example.com" }))).toBe("BAD_REQUEST");
  });

  test("goes after it got the whole mail may have it; one that goes before has not", async () => {
    const taken = await startServer({ onData: (stream) => void stream.on("end", () => hangUp(taken.server)).resume() });
    const first = await open({ port: taken.port, timeoutMs: 5_000 });
    expect(await reasonOf(first.send({ to: "anna@example.com" }, "x"))).toBe("OUTCOME_UNKNOWN");
    const early = await startServer({ onRcptTo: () => hangUp(early.server) });
    const second = await open({ port: early.port, timeoutMs: 5_000 });
    expect(await reasonOf(second.send({ to: "anna@example.com" }, "x"))).toBe("COMPONENT_UNAVAILABLE");
    const slow = await startServer({ onData: (stream) => void stream.resume() });
    const third = await open({ port: slow.port, timeoutMs: 3_000 });
    expect(await reasonOf(third.send({ to: "anna@example.com" }, "x"))).toBe("OUTCOME_UNKNOWN");
  });

  test("never says a word is given up in time", async () => {
    const mute = createServer(() => {});
    await new Promise<void>((resolve) => mute.listen(0, "localhost", resolve));
    onTestFinished(() => void mute.close());
    const { send } = await open({ port: (mute.address() as AddressInfo).port, timeoutMs: 200 });
    expect(await reasonOf(send({ to: "anna@example.com" }))).toBe("COMPONENT_UNAVAILABLE");
    const gone = new AbortController();
    const reason = new Error("gone");
    const patient = await open({ port: (mute.address() as AddressInfo).port });
    const call = patient.send({ to: "anna@example.com" }, "", "", gone.signal);
    setImmediate(() => gone.abort(reason));
    await expect(call).rejects.toBe(reason);
  });
});

/** Ends every connection, as a crash would. */
function hangUp(server: SMTPServer): void {
  for (const connection of server.connections as Set<{ _socket: { destroy(): void } }>) connection._socket.destroy();
}

test("a sender that is no address, and half of the credentials, are refused", () => {
  for (const wrong of [
    { from: "shop" },
    { from: "a@b.c, d@e.f" },
    { from: "a@b.c\r\nX: y" },
    { username: "x" },
    { password: "x" },
  ]) {
    expect(smtp.config.safeParse({ host: "localhost", from, ...wrong }).success).toBe(false);
  }
});
