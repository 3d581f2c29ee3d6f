import type { LookupAddress, lookup } from "node:dns";
import { describe, expect, test } from "vitest";
import { openHttp, reasonOf } from "../test/client.js";
import { startServer } from "../test/server.js";
import { createAddressGuard } from "./addresses.js";

describe("by default nothing is reached that is not public", () => {
  test.each([
    "127.0.0.1",
    "2130706433", // decimal
    "0x7f000001", // hexadecimal
    "017700000001", // octal
    "0177.0.0.1",
    "127.1",
    "0.0.0.0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "localhost",
  ])("not %s, which is this machine", async (host) => {
    const server = await startServer();
    const invoke = await openHttp({ allowedNetworks: [] });
    expect(await reasonOf(invoke("get", { url: `http://${host}:${server.port}/` }))).toBe("TARGET_REFUSED");
    expect(server.requests).toEqual([]);
  });

  test.each([
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254", // metadata service of most clouds
    "168.63.129.16", // Azure's
    "100.100.100.200", // Alibaba's
    "192.0.0.192", // Oracle's
    "224.0.0.1",
    "255.255.255.255",
    "198.18.0.1",
    "[fd00:ec2::254]", // AWS's
    "[fe80::1]",
    "[ff02::1]",
    "[64:ff9b::a9fe:a9fe]", // NAT64 of 169.254.169.254
    "[2002:a9fe:a9fe::]", // 6to4 of it
    "[::ffff:a9fe:a9fe]",
  ])("not %s", async (host) => {
    const invoke = await openHttp({ allowedNetworks: [] });
    expect(await reasonOf(invoke("get", { url: `http://${host}/` }))).toBe("TARGET_REFUSED");
  });

  test("only http and https URLs are, without a user name", async () => {
    const invoke = await openHttp({});
    for (const url of [
      "file:///etc/passwd",
      "ftp://example.com/",
      "gopher://127.0.0.1/",
      "nonsense",
      "http://a:b@example.com/",
    ]) {
      expect(await reasonOf(invoke("get", { url }))).toBe("BAD_REQUEST");
    }
  });
});

describe("a name", () => {
  /** A resolver that answers differently each time, as that of an attacker does. */
  const resolver = (...answers: LookupAddress[][]) => {
    let asked = 0;
    const resolve = ((_name: string, _options: unknown, callback: (error: null, addresses: LookupAddress[]) => void) =>
      callback(null, answers[asked++] ?? [])) as unknown as typeof lookup;
    return { resolve, asked: () => asked };
  };
  const look = (guard: ReturnType<typeof createAddressGuard>, all: boolean) =>
    new Promise((settle) => guard.lookup("name.example", { all }, (error, address) => settle(error ?? address)));

  test("is connected to as it was checked: asked once, and the answer used", async () => {
    const rebinding = resolver([{ address: "93.184.216.34", family: 4 }], [{ address: "127.0.0.1", family: 4 }]);
    const guard = createAddressGuard([], rebinding.resolve);
    expect(await look(guard, false)).toBe("93.184.216.34");
    expect(rebinding.asked()).toBe(1);
    expect(await look(guard, true)).toMatchObject({ reason: "TARGET_REFUSED" });
  });

  test("with one address that is not public among others is refused", async () => {
    const mixed = resolver([
      { address: "93.184.216.34", family: 4 },
      { address: "::ffff:10.0.0.1", family: 6 },
    ]);
    expect(await look(createAddressGuard([], mixed.resolve), true)).toMatchObject({ reason: "TARGET_REFUSED" });
  });

  test("in a network that is allowed is reached", async () => {
    const inside = () => resolver([{ address: "10.2.3.4", family: 4 }]).resolve;
    expect(await look(createAddressGuard(["10.0.0.0/8"], inside()), false)).toBe("10.2.3.4");
    expect(await look(createAddressGuard(["10.3.0.0/16", "::/0"], inside()), false)).toMatchObject({
      reason: "TARGET_REFUSED",
    });
  });
});

test("a connection that is kept is used again, and one that closed meanwhile costs a read nothing", async () => {
  const sockets = new Set<unknown>();
  const server = await startServer((request, response) => {
    sockets.add(request.socket);
    response.end();
    if (request.url === "/close") response.once("close", () => request.socket.destroy());
  });
  const invoke = await openHttp({ baseUrl: server.url });
  for (let n = 0; n < 5; n++) await invoke("get");
  expect(sockets.size).toBe(1);
  for (let n = 0; n < 20; n++) await invoke("get", { path: "/close" });
  expect(server.requests.length).toBeGreaterThanOrEqual(25);
});
