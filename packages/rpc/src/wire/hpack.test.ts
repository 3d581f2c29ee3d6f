import { describe, expect, test } from "vitest";
import { createRandom } from "../../test/random.js";
import { CompressionError, HpackDecoder } from "./hpack-decoder.js";
import { emptyTable, encodeHeaders } from "./hpack-encoder.js";
import { decodeHuffman } from "./hpack-huffman.js";

const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");
const decode = (block: Uint8Array, decoder = new HpackDecoder(10_000)) => decoder.decode(block).list;

describe("the examples of RFC 7541", () => {
  test("appendix C.4: requests with Huffman coding, which build on each other", () => {
    const decoder = new HpackDecoder(10_000);
    const first = [":method", "GET", ":scheme", "http", ":path", "/", ":authority", "www.example.com"];
    expect(decode(hex("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff"), decoder)).toEqual(first);
    expect(decode(hex("8286 84be 5886 a8eb 1064 9cbf"), decoder)).toEqual([...first, "cache-control", "no-cache"]);
    expect(decode(hex("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf"), decoder)).toEqual(
      first.with(3, "https").with(5, "/index.html").concat("custom-key", "custom-value"),
    );
  });

  test("appendix C.2: literals", () => {
    expect(decode(hex("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572"))).toEqual([
      "custom-key",
      "custom-header",
    ]);
    expect(decode(hex("040c 2f73 616d 706c 652f 7061 7468"))).toEqual([":path", "/sample/path"]);
    expect(decode(hex("1008 7061 7373 776f 7264 0673 6563 7265 74"))).toEqual(["password", "secret"]);
  });
});

test("what is written can be read, whatever was read before", () => {
  const decoder = new HpackDecoder(100_000);
  decode(hex("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff"), decoder);
  const list = [":status", "200", ":status", "418", "content-type", "application/grpc", "x", "", "grpc-status", "0"];
  const long = [...list, "x-long", "y".repeat(20_000), "\xe4", "\xff"];
  expect(decode(Buffer.concat([Buffer.of(emptyTable), encodeHeaders(long)]), decoder)).toEqual(long);
  expect(encodeHeaders([":status", "200"])).toEqual(Buffer.of(0x88));
});

test("the table forgets what it has no room for", () => {
  const decoder = new HpackDecoder(100_000);
  const entry = (value: string) =>
    Buffer.concat([Buffer.of(0x40, 1), Buffer.from("a"), Buffer.of(value.length), Buffer.from(value)]);
  for (let index = 0; index < 100; index++) decode(entry(`value ${String(index).padStart(90, "0")}`), decoder);
  // 4096 bytes hold 31 entries of 129.
  expect(decode(Buffer.of(0x80 | (61 + 31)), decoder)[1]).toMatch(/69$/);
  expect(() => decode(Buffer.of(0x80 | (61 + 32)), decoder)).toThrow(CompressionError);
  expect(decode(Buffer.concat([Buffer.of(0x3f, 0xe1, 0x1f), Buffer.of(0xbe)]), decoder)[1]).toMatch(/99$/);
  decode(Buffer.of(0x20), decoder);
  expect(() => decode(Buffer.of(0xbe), decoder)).toThrow(CompressionError);
});

test("headers above the limit are not kept, and what follows is read all the same", () => {
  const decoder = new HpackDecoder(200);
  // One entry of 141 bytes, told of a thousand times with a byte each.
  const large = Buffer.concat([Buffer.of(0x40, 1), Buffer.from("a"), Buffer.of(100), Buffer.alloc(100, "b")]);
  const { list, tooLarge } = decoder.decode(Buffer.concat([large, Buffer.alloc(1000, 0xbe)]));
  expect([list.length, tooLarge]).toEqual([2, true]);
  expect(decoder.decode(Buffer.of(0xbe))).toEqual({ list: ["a", "b".repeat(100)], tooLarge: false });
});

describe("what cannot be read ends the connection", () => {
  test.each([
    ["entry 0", "80"],
    ["an entry that there is not", "be"],
    ["an integer without end", "ffffffffffffffff"],
    ["a block that is cut off", "40"],
    ["a name that is cut off", "400a6375"],
    ["a table larger than offered", "3fe21f"],
    ["a change of the table after a header", "8220"],
    ["padding with zeros", "04 81 00"],
    ["padding of eight bits", "04 82 1f ff"],
    ["the end of the string within it", "04 84 ff ff ff ff"],
  ])("%s", (_what, block) => {
    expect(() => decode(hex(block))).toThrow(CompressionError);
  });

  test("and nothing else is thrown, whatever comes", () => {
    const random = createRandom(Number(process.env.MECHA_FUZZ_SEED ?? 7));
    let decoder = new HpackDecoder(16_384);
    for (let round = 0; round < 20_000; round++) {
      const bytes = Buffer.from(Array.from({ length: random(60) }, () => random(256)));
      try {
        decode(bytes, decoder);
      } catch (error) {
        expect(error).toBeInstanceOf(CompressionError);
        decoder = new HpackDecoder(16_384);
      }
      decodeHuffman(bytes, 0, bytes.length);
    }
  });
});
