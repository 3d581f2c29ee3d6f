import * as http from "node:http";
import * as net from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createRandom } from "../../test/random.js";
import { Http1RequestHeads, readHttp1RequestHead } from "./http1-request-head.js";

const path = "/mecha.rpc.test.v1.EchoService/Echo";
const lines = (...extra: string[]) => [`POST ${path} HTTP/1.1`, "host: x", "content-length: 2", ...extra];
const toHead = (all: readonly string[], end = "\r\n") => Buffer.from(`${all.join(end)}${end}${end}`, "latin1");
const read = (bytes: Buffer, maxBytes = 16_384) => readHttp1RequestHead(bytes, 0, maxBytes);

describe("what every client writes is read", () => {
  test("with its body behind it, and from any offset", () => {
    const head = toHead(lines("Content-Type: application/proto", "X-Padded: \t a b \t", "x-empty:", "x-latin: \xe4"));
    const found = readHttp1RequestHead(Buffer.concat([Buffer.from("before"), head, Buffer.from("{}")]), 6, 16_384);
    expect(found).toEqual({
      method: "POST",
      url: path,
      contentLength: 2,
      length: head.length,
      headers: {
        host: "x",
        "content-length": "2",
        "content-type": "application/proto",
        "x-padded": "a b",
        "x-empty": "",
        "x-latin": "\xe4",
      },
    });
  });

  test.each(["GET", "HEAD", "PUT", "PATCH", "DELETE"])("%s, without a body and with a query", (method) => {
    const target = "/invoke/orders/a-b_c~!$&'()*+,;=:@%2f?d=/?e";
    const found = read(toHead([`${method} ${target} HTTP/1.1`, "host: x"]));
    expect(found).toMatchObject({ method, url: target, contentLength: 0 });
  });

  test.each(["keep-alive", "Keep-Alive"])("connection: %s", (value) => {
    expect(read(toHead(lines(`connection: ${value}`)))?.url).toBe(path);
  });
});

describe("what could be understood in two ways is left to Node", () => {
  test.each([
    ["half a head", Buffer.from(`POST ${path} HTTP/1.1\r\nhost: x\r\n`)],
    ["another method", toHead(lines().with(0, `TRACE ${path} HTTP/1.1`))],
    ["CONNECT", toHead(lines().with(0, "CONNECT x:80 HTTP/1.1"))],
    ["OPTIONS", toHead(lines().with(0, "OPTIONS * HTTP/1.1"))],
    ["a method in small letters", toHead(lines().with(0, `post ${path} HTTP/1.1`))],
    ["a method that goes on", toHead(lines().with(0, `POSTS ${path} HTTP/1.1`))],
    ["two spaces", toHead(lines().with(0, `POST  ${path} HTTP/1.1`))],
    ["a tab", toHead(lines().with(0, `POST\t${path} HTTP/1.1`))],
    ["a fragment", toHead(lines().with(0, `POST ${path}#a HTTP/1.1`))],
    ["a backslash", toHead(lines().with(0, `POST ${path}\\a HTTP/1.1`))],
    ["a byte that is no ASCII", toHead(lines().with(0, `POST ${path}\xe4 HTTP/1.1`))],
    ["an absolute target", toHead(lines().with(0, `POST http://x${path} HTTP/1.1`))],
    ["a space in the target", toHead(lines().with(0, `POST ${path} x HTTP/1.1`))],
    ["HTTP/1.0", toHead(lines().with(0, `POST ${path} HTTP/1.0`))],
    ["an empty line first", Buffer.concat([Buffer.from("\r\n"), toHead(lines())])],
    ["bare line feeds", toHead(lines(), "\n")],
    ["one bare line feed", toHead(lines("a: b\nc: d"))],
    ["a bare carriage return", toHead(lines("a: b\rc: d"))],
    ["a NUL", toHead(lines("a: b\0"))],
    ["a DEL", toHead(lines("a: b\x7f"))],
    ["a folded line", toHead(lines("a: b", " c: d"))],
    ["a line folded with a tab", toHead(lines("a: b", "\tc: d"))],
    ["a space before the colon", toHead(lines("content-type : application/json"))],
    ["a line without a colon", toHead(lines("nothing"))],
    ["a line without a name", toHead(lines(": nothing"))],
    ["a header that comes twice", toHead(lines("x-a: 1", "X-A: 2"))],
    ["two lengths", toHead(lines("Content-Length: 3"))],
    ["two lengths that agree", toHead(lines("content-length: 2"))],
    ["a list of lengths", toHead(lines().with(2, "content-length: 2, 2"))],
    ["a signed length", toHead(lines().with(2, "content-length: +2"))],
    ["a hexadecimal length", toHead(lines().with(2, "content-length: 0x2"))],
    ["an empty length", toHead(lines().with(2, "content-length:"))],
    ["a length beyond all numbers", toHead(lines().with(2, "content-length: 99999999999999999999"))],
    ["no host", toHead(lines().toSpliced(1, 1))],
    ["two hosts", toHead(lines("host: y"))],
    ["a transfer coding beside a length", toHead(lines("Transfer-Encoding: chunked"))],
    ["an obscured transfer coding", toHead(lines("transfer-encoding:\tx, chunked"))],
    ["connection: close", toHead(lines("connection: close"))],
    ["two words in connection", toHead(lines("connection: keep-alive, content-length"))],
    ["an upgrade", toHead(lines("connection: upgrade", "upgrade: h2c"))],
    ["an expectation", toHead(lines("expect: 100-continue"))],
    ["a web page's origin", toHead(lines("origin: http://x"))],
    ["a prototype", toHead(lines("__proto__: x"))],
    ["a name that all objects have", toHead(lines("constructor: x"))],
  ])("%s", (_what, bytes) => {
    expect(read(bytes)).toBeUndefined();
  });

  test("a head as large as the limit", () => {
    const head = toHead(lines());
    expect(read(head, head.length)).toBeUndefined();
    expect(read(head, head.length + 1)).toBeDefined();
  });
});

describe("against Node's parser", () => {
  const seed = Number(process.env.MECHA_FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));
  let server: http.Server;
  beforeAll(async () => {
    server = http.createServer((request, response) => {
      const { method, url, headers } = request;
      request.resume().on("end", () => response.end(JSON.stringify({ method, url, headers })));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  });
  afterAll(() => void server.close());

  /** What Node makes of a request, or its refusal. */
  function askNode(bytes: Buffer): Promise<string> {
    return new Promise((resolve) => {
      const socket = net.connect((server.address() as net.AddressInfo).port, "127.0.0.1");
      let text = "";
      socket.setEncoding("latin1").on("data", (chunk: string) => {
        text += chunk;
        if (text.endsWith("}") || text.includes(" 400 ")) socket.destroy();
      });
      socket.on("error", () => {});
      socket.on("close", () => resolve(text));
      socket.write(bytes);
    });
  }

  test(`whatever is read means the same there (seed ${seed})`, async () => {
    const random = createRandom(seed);
    const template = toHead(lines("content-type: application/proto", "x-a: b c", "accept: */*"));
    const delicateBytes = [...Buffer.from('\r\n\t :,\0\x7f\x80;"()Aa09')];
    let accepted = 0;
    for (let round = 0; round < 20_000 && accepted < 300; round++) {
      const bytes = Buffer.from(template);
      for (let count = 1 + random(3); count > 0; count--) {
        bytes[random(bytes.length)] =
          random(2) === 0 ? random(256) : (delicateBytes[random(delicateBytes.length)] as number);
      }
      const head = read(bytes);
      if (head === undefined) continue;
      accepted++;
      // Whether the length is understood alike shows in that Node waits for so many bytes, and answers.
      const answer = await askNode(Buffer.concat([bytes, Buffer.alloc(Math.min(head.contentLength, 100), "x")]));
      const { method, url, headers } = head;
      expect(answer, JSON.stringify(bytes.toString("latin1"))).toMatch(/^HTTP\/1\.1 200/);
      const body = JSON.parse(Buffer.from(answer.slice(answer.indexOf("{")), "latin1").toString());
      expect(body).toEqual({ method, url, headers });
    }
    expect(accepted).toBe(300);
  }, 30_000);
});

describe("the heads of a connection", () => {
  const first = toHead(lines("traceparent: 00-ab-cd-00", "x-id: 17", "x-empty:", "x-padded:  a b  "));
  const readSecond = (second: Buffer) => {
    const heads = new Http1RequestHeads();
    heads.read(first, 0, 16_384);
    return heads.read(second, 0, 16_384);
  };
  const replaced = (from: string, to: string) => Buffer.from(first.toString("latin1").replace(from, to), "latin1");

  test("are the same object as long as they repeat themselves", () => {
    const heads = new Http1RequestHeads();
    expect(heads.read(first, 0, 16_384)).toBe(heads.read(Buffer.concat([first, Buffer.from("{}")]), 0, 16_384));
  });

  test("are read anew where a value has changed, and the one before stays as it was", () => {
    const heads = new Http1RequestHeads();
    const before = heads.read(first, 0, 16_384);
    const after = heads.read(replaced("00-ab", "00-ef"), 0, 16_384);
    expect(before?.headers.traceparent).toBe("00-ab-cd-00");
    expect(after).toEqual({ ...before, headers: { ...before?.headers, traceparent: "00-ef-cd-00" } });
    expect(heads.read(replaced("content-length: 2", "content-length: 7"), 0, 16_384)?.contentLength).toBe(7);
  });

  test.each([
    ["a value that begins with a space", replaced("x-id: 17", "x-id:  7")],
    ["a value that ends early", replaced("x-id: 17", "x-id: 1 ")],
    ["a value with a line's end", replaced("00-ab-cd-00", "00\r\nb: d-00")],
    ["a head that ends early", replaced("00-ab-cd-00", "00\r\n\r\nd-00")],
    ["a length that is none", replaced("content-length: 2", "content-length: x")],
    ["another name", replaced("x-id", "y-id")],
    ["a name that comes twice", replaced("x-id", "host")],
    ["another target", replaced("Echo HTTP", "Ecco HTTP")],
    ["half of it", first.subarray(0, -2)],
  ])("mean what they would alone: %s", (_, second) => {
    expect(readSecond(second)).toEqual(read(second));
  });

  test("mean what they would alone, whichever bytes change", () => {
    const random = createRandom(7);
    const of = "\r\n\0 \t:a0~\x7f\x80\xff";
    let changed = 0;
    for (let round = 0; round < 20_000; round++) {
      const second = Buffer.from(first);
      for (let count = random(3); count >= 0; count--) {
        second[random(second.length)] = of.charCodeAt(random(of.length));
      }
      const alone = read(second);
      expect(readSecond(second)).toEqual(alone);
      if (alone !== undefined) changed++;
    }
    expect(changed).toBeGreaterThan(1_000);
  });
});
