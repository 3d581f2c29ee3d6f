import { readFileSync, statSync, writeFileSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import type * as http2 from "node:http2";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { text } from "node:stream/consumers";
import * as tls from "node:tls";
import { createManualClock } from "@mecha/component/conformance";
import { issueCredentials, mutualTls, openAuthority } from "@mecha/identity";
import { expect, onTestFinished, test } from "vitest";
import { temporaryFolder, until } from "../../test/helpers.js";
import { createLog } from "../../test/log.js";
import { startApp, startMeshRuntime, startPair } from "../../test/mesh.js";
import { issue, openPeer } from "../../test/peer.js";

const hour = 60 * 60 * 1000;

/** Calls the mesh port as somebody who has these credentials would; resolves with what the app says, or rejects if it is not let in. */
async function callMeshPort(dataDir: string, options: tls.ConnectionOptions, headers: http2.OutgoingHttpHeaders = {}) {
  const session = openPeer(dataDir, options);
  return await new Promise<{ status: number; body: string }>((resolve, reject) => {
    session.once("error", reject);
    session.once("close", () => reject(new Error("closed")));
    const stream = session.request({ ":path": "/x", ":authority": "orders", ...headers });
    stream.once("error", reject);
    stream.once("response", (answer) => {
      text(stream).then((body) => resolve({ status: answer[":status"] ?? 0, body }), reject);
    });
  });
}

test("the mesh port takes runtimes of its trust domain and namespace, and nobody else", async () => {
  let calls = 0;
  const { dataDir } = await startPair((request, response) => {
    calls += 1;
    response.end(String(request.headers["mecha-caller"]));
  });
  const stranger = temporaryFolder();
  const { ca } = issue(dataDir).secrets();
  expect(await callMeshPort(dataDir, mutualTls(issue(dataDir)))).toEqual({ status: 200, body: "shop" });
  expect(calls).toBe(1);
  const refused: Record<string, tls.ConnectionOptions> = {
    "no certificate": { ca },
    "another authority": { ...mutualTls(issue(stranger)), ca },
    expired: mutualTls(issue(dataDir, {}, Date.now() - 48 * hour)),
    "another trust domain": mutualTls(issue(dataDir, { trustDomain: "evil.example" })),
    "another namespace": mutualTls(issue(dataDir, { namespace: "other" })),
    "TLS 1.2": { ...mutualTls(issue(dataDir)), minVersion: "TLSv1.2", maxVersion: "TLSv1.2" },
  };
  for (const [name, options] of Object.entries(refused)) {
    await expect(callMeshPort(dataDir, options), name).rejects.toThrow();
  }
  expect(calls).toBe(1);
  expect(await callMeshPort(dataDir, mutualTls(issue(dataDir)))).toMatchObject({ status: 200 });
});

test("who calls is who the certificate says, whatever the headers say; and the runtime answers for its own app only", async () => {
  const { dataDir } = await startPair((request, response) =>
    response.end(`${request.headers["mecha-caller"]} ${request.url}`),
  );
  const asBilling = mutualTls(issue(dataDir, { appId: "billing" }));
  expect(await callMeshPort(dataDir, asBilling, { "mecha-caller": "admin" })).toEqual({
    status: 200,
    body: "billing /x",
  });
  expect(await callMeshPort(dataDir, asBilling, { ":path": "/a/../admin" })).toEqual({
    status: 200,
    body: "billing /admin",
  });
  expect(await callMeshPort(dataDir, asBilling, { ":path": "/a%2fb" })).toMatchObject({ status: 400 });
  const other = await callMeshPort(dataDir, asBilling, { ":authority": "shop" });
  expect(other.status).toBe(404);
  expect(other.body).toContain('this is the runtime of app \\"orders\\"');
});

test("a runtime that claims to be another app is not sent the call", async () => {
  const dataDir = temporaryFolder();
  const asked: string[] = [];
  const impostor = tls.createServer({ ...mutualTls(issue(dataDir, { appId: "impostor" })), ALPNProtocols: ["h2"] });
  impostor.on("secureConnection", (socket) => socket.on("data", (chunk) => asked.push(String(chunk))));
  await new Promise<void>((resolve) => impostor.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void impostor.close());
  const { port } = impostor.address() as { port: number };
  const shop = await startMeshRuntime("shop", dataDir);
  const db = new DatabaseSync(join(dataDir, "mecha.db"));
  db.prepare("INSERT INTO discovery_instance VALUES ('default', 'orders', 'x', ?, '', '', 100, ?)").run(
    `127.0.0.1:${port}`,
    Date.now() + hour,
  );
  db.close();
  const response = await fetch(`${shop.endpoint}/invoke/orders/secret`);
  expect(response.status).toBe(503);
  expect(await response.text()).toContain(
    "it is spiffe://mecha.internal/ns/default/app/impostor, not spiffe://mecha.internal/ns/default/app/orders",
  );
  expect(asked).toEqual([]);
});

test("certificates are renewed under open calls, and no call is dropped", async () => {
  // OpenSSL looks at the machine's time: certificates of either end of this test must be valid by it.
  const clock = createManualClock(Date.now() - 13 * hour);
  const log = createLog();
  const { dataDir, url } = await startPair(
    (incoming, answer) => {
      if (incoming.url !== "/open") return void answer.end("done");
      answer.write("begun");
      incoming.on("data", (chunk) => answer.write(chunk)).on("end", () => answer.end());
    },
    { orders: { clock, logger: log.logger }, shop: { clock, logger: log.logger }, tick: () => clock.advance(250) },
  );
  const open = request(`${url}/open`, { method: "POST" });
  open.flushHeaders();
  const response = await new Promise<IncomingMessage>((resolve) => open.once("response", resolve));
  let received = "";
  response.setEncoding("utf8").on("data", (chunk) => {
    received += chunk;
  });
  await until(() => received === "begun", "the call is open");
  clock.advance(12.5 * hour);
  await until(() => log.lines.filter((line) => line.startsWith("renewed")).length === 2, "both have renewed");
  // The lease ended when the time jumped; with the next heartbeats calls go on, on a new connection.
  await until(async () => {
    clock.advance(3_000);
    return (await (await fetch(`${url}/x`)).text()) === "done";
  }, "calls go on");
  open.write(", and still open");
  await until(() => received === "begun, and still open", "the open call goes on");
  open.end();
  await until(() => response.readableEnded && response.complete, "it ends as it should");
  expect(statSync(join(dataDir, "ca/ca.key")).mode & 0o777).toBe(0o600);
  const key = readFileSync(join(dataDir, "ca/ca.key"), "utf8").split("\n")[1] ?? "";
  expect(log.lines.join("\n")).not.toContain("PRIVATE KEY");
  expect(log.lines.join("\n")).not.toContain(key);
});

test("certificates from files are used, and one that cannot be read stops the start with its name", async () => {
  const folder = temporaryFolder();
  const authority = openAuthority(folder, "corp.example", Date.now());
  const write = (appId: string) => {
    const id = { trustDomain: "corp.example", namespace: "default", appId };
    const { key, cert, ca } = issueCredentials(authority, id, Date.now()).secrets();
    const files = {
      key: join(folder, `${appId}.key`),
      certificate: join(folder, `${appId}.crt`),
      authorities: join(folder, "bundle.crt"),
    };
    writeFileSync(files.key, key, { mode: 0o600 });
    writeFileSync(files.certificate, cert);
    writeFileSync(files.authorities, ca);
    return files;
  };
  const { url, shop, dataDir } = await startPair(
    (request, response) => response.end(String(request.headers["mecha-caller"])),
    {
      orders: { mesh: { port: 0, certificates: write("orders") } },
      shop: { mesh: { port: 0, certificates: write("shop") } },
    },
  );
  expect(await (await fetch(`${url}/x`)).text()).toBe("shop");
  const app = await startApp((_request, response) => response.end());
  const mesh = { port: 0, certificates: { ...write("billing"), key: "/nowhere.key" } };
  await expect(startMeshRuntime("billing", dataDir, { appPort: app.port, mesh })).rejects.toThrow(
    "/nowhere.key cannot be read",
  );
  // Nothing else is disturbed: neither other runtimes, nor one that calls nobody.
  expect((await fetch(`${url}/x`)).status).toBe(200);
  const silent = await startMeshRuntime("billing", dataDir, { mesh });
  expect((await fetch(`${silent.endpoint}/readyz`)).status).toBe(200);
  const refused = await fetch(`${silent.endpoint}/invoke/orders/x`);
  expect([refused.status, await refused.text()]).toEqual([503, expect.stringContaining("cannot prove who it is")]);
  expect((await fetch(`${shop.endpoint}/readyz`)).status).toBe(200);
});
