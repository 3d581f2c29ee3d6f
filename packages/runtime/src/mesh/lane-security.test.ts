import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import * as tls from "node:tls";
import { issueCredentials, mutualTls, openAuthority } from "@mecha/identity";
import { expect, onTestFinished, test } from "vitest";
import { until } from "../../test/helpers.js";
import { openRaw, startPair } from "../../test/mesh.js";

// Requests that two readers could take for different ones. Nothing of them may reach the app as a request of its own.

const smuggled = "GET /smuggled HTTP/1.1\r\nhost: orders\r\n\r\n";

/** At the app port, and with these changes at the mesh port. */
const attempts: Record<string, string> = {
  "a length and chunks": `POST /P HTTP/1.1\r\nhost: H\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
  "chunks that are spelt oddly": `POST /P HTTP/1.1\r\nhost: H\r\ncontent-length: 4\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n${smuggled}`,
  "chunks behind a tab": `POST /P HTTP/1.1\r\nhost: H\r\ncontent-length: 4\r\ntransfer-encoding:\tchunked\r\n\r\n0\r\n\r\n${smuggled}`,
  "chunks with a space before the colon": `POST /P HTTP/1.1\r\nhost: H\r\ncontent-length: 4\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n${smuggled}`,
  "two lengths": `POST /P HTTP/1.1\r\nhost: H\r\ncontent-length: 0\r\ncontent-length: ${smuggled.length}\r\n\r\n${smuggled}`,
  "a list of lengths": `POST /P HTTP/1.1\r\nhost: H\r\ncontent-length: 0, ${smuggled.length}\r\n\r\n${smuggled}`,
  "a signed length": `POST /P HTTP/1.1\r\nhost: H\r\ncontent-length: +${smuggled.length}\r\n\r\n${smuggled}`,
  "a length in another base": `POST /P HTTP/1.1\r\nhost: H\r\ncontent-length: 0x10\r\n\r\n${smuggled}`,
  "bare line feeds": `POST /P HTTP/1.1\nhost: H\ncontent-length: 0\n\n${smuggled}`,
  "a bare line feed in a value": `POST /P HTTP/1.1\r\nhost: H\r\nx: a\n\nGET /smuggled HTTP/1.1\r\ncontent-length: 0\r\n\r\n`,
  "a bare carriage return": `POST /P HTTP/1.1\r\nhost: H\r\nx: a\rcontent-length: 100\r\ncontent-length: 0\r\n\r\n`,
  "a folded line": `POST /P HTTP/1.1\r\nhost: H\r\nx: a\r\n content-length: 100\r\ncontent-length: 0\r\n\r\n`,
  "a NUL": `POST /P HTTP/1.1\r\nhost: H\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n`,
  "two hosts": `GET /P HTTP/1.1\r\nhost: H\r\nhost: billing\r\n\r\n`,
  "a target with a space": `GET /P HTTP/1.1 x HTTP/1.1\r\nhost: H\r\n\r\n`,
  "an absolute target": `GET http://orders/smuggled HTTP/1.1\r\nhost: H\r\n\r\n`,
  "a protocol change": `GET /P HTTP/1.1\r\nhost: H\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAAA\r\ncontent-length: 0\r\n\r\n`,
};

test("at the app port", async () => {
  const seen: string[] = [];
  const { shop } = await startPair((request, response) => {
    seen.push(`${request.method} ${request.url} ${request.headers["x-later"] ?? ""}`);
    request.resume().on("end", () => response.end());
  });
  for (const [what, text] of Object.entries(attempts)) {
    const { socket, text: said } = openRaw(shop);
    socket.write(text.replace("/P", "/invoke/orders/p").replace("host: H", "host: localhost"), "latin1");
    await until(() => said().includes("\r\n\r\n"), `an answer to ${what}`);
    socket.destroy();
    expect([what, seen.filter((line) => line.includes("smuggled"))]).toEqual([what, []]);
  }
  expect(seen.every((line) => /^(GET|POST) \/p $/.test(line))).toBe(true);
});

test("at the mesh port, with a certificate", async () => {
  const seen: string[] = [];
  const { dataDir } = await startPair((request, response) => {
    seen.push(`${request.headers["mecha-caller"]} ${request.url}`);
    request.resume().on("end", () => response.end("hello"));
  });
  const db = new DatabaseSync(join(dataDir, "mecha.db"), { readOnly: true });
  const row = db.prepare("SELECT address FROM discovery_instance WHERE app = 'orders'").get();
  db.close();
  const [host = "", port = ""] = String(row?.address).split(":");
  const id = { trustDomain: "mecha.internal", namespace: "default", appId: "billing" };
  const credentials = issueCredentials(openAuthority(dataDir, "mecha.internal", Date.now()), id, Date.now());
  const open = () => {
    const socket = tls.connect({
      host,
      port: Number(port),
      ...mutualTls(credentials),
      ALPNProtocols: ["http/1.1"],
      checkServerIdentity: () => undefined,
    });
    onTestFinished(() => void socket.destroy());
    let said = "";
    let closed = false;
    socket.setEncoding("latin1").on("data", (chunk) => {
      said += chunk;
    });
    socket
      .on("error", () => {})
      .once("close", () => {
        closed = true;
      });
    return { socket, said: () => said, closed: () => closed };
  };
  const good = open();
  await until(() => good.said() === "HTTP/1.1 100 Continue\r\n\r\n", "it is greeted");
  good.socket.write("GET /a/../x HTTP/1.1\r\nhost: orders\r\nmecha-caller: admin\r\n\r\n");
  await until(() => good.said().endsWith("hello"), "it is answered");
  good.socket.write("GET /x HTTP/1.1\r\nhost: shop\r\n\r\n");
  await until(() => good.said().includes("this is the runtime of app"), "another app is refused");
  expect(seen).toEqual(["billing /x"]);
  for (const [what, text] of Object.entries(attempts)) {
    const { socket, said, closed } = open();
    socket.write(text.replace("/P", "/p").replace("host: H", "host: orders"), "latin1");
    await until(closed, `the end of ${what}`);
    expect([what, said()]).toEqual([what, expect.stringContaining("HTTP/1.1 400 Bad Request\r\nconnection: close")]);
  }
  const huge = open();
  huge.socket.write(`GET /p HTTP/1.1\r\nhost: orders\r\nx: ${"x".repeat(70_000)}`);
  await until(huge.closed, "the end of a head without end");
  const large = open();
  large.socket.write(`POST /p HTTP/1.1\r\nhost: orders\r\ncontent-length: 70000\r\n\r\n${"x".repeat(70_000)}`);
  await until(large.closed, "the end of a body that is too large for the lane");
  expect(seen).toEqual(["billing /x"]);
});
