import { stateLimits } from "@mecha/component";
import { describe, expect, it } from "vitest";
import { callState, startRuntime } from "../../../test/helpers.js";

const base64 = (bytes: number) => Buffer.alloc(bytes, 1).toString("base64");

describe("the state block, called as curl calls it", () => {
  it("takes keys of 1 and of 512 bytes, and refuses 0 and 513 by name", async () => {
    const { endpoint } = await startRuntime();
    for (const key of ["k", "é".repeat(256)]) expect((await callState(endpoint, "Set", { key })).status).toBe(200);
    for (const key of ["", `${"é".repeat(256)}x`, "a\0b"]) {
      const { status, reason, fields } = await callState(endpoint, "Set", { key });
      expect({ status, reason, fields }).toEqual({ status: 400, reason: "BAD_REQUEST", fields: ["key"] });
    }
  });

  it("refuses U+0000 in every text, as not every store could keep it", async () => {
    const { endpoint } = await startRuntime();
    const set = await callState(endpoint, "Set", { key: "k", contentType: "a\0b", requestId: "c\0d" });
    expect(set).toMatchObject({ status: 400, reason: "BAD_REQUEST", fields: ["content_type", "request_id"] });
    for (const key of ["k", "l"]) await callState(endpoint, "Set", { key });
    const { json } = await callState(endpoint, "List", { pageSize: 1 });
    const { nextPageToken } = json as { nextPageToken: string };
    const pageToken = nextPageToken.slice(0, 11) + Buffer.from("a\0b").toString("base64url");
    const list = await callState(endpoint, "List", { pageToken });
    expect(list).toMatchObject({ status: 400, reason: "BAD_REQUEST", fields: ["page_token"] });
  });

  it("refuses JSON that is no UTF-8, instead of making one key of two", async () => {
    const { endpoint } = await startRuntime();
    const response = await fetch(`${endpoint}/mecha.state.v1.StateService/Get`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: Buffer.concat([Buffer.from('{"key":"'), Buffer.of(0xff), Buffer.from('"}')]),
    });
    expect(response.status).toBe(400);
  });

  it("refuses half a surrogate pair, which no UTF-8 has", async () => {
    const { endpoint } = await startRuntime();
    const { status } = await callState(endpoint, "Get", '{"key":"\\ud800"}');
    expect(status).toBe(400);
  });

  it("takes a value of exactly the limit, and refuses one byte more with both numbers", async () => {
    const { endpoint } = await startRuntime();
    const { maxValueBytes } = stateLimits;
    expect((await callState(endpoint, "Set", { key: "k", value: base64(maxValueBytes) })).status).toBe(200);
    const { status, reason, json } = await callState(endpoint, "Set", { key: "k", value: base64(maxValueBytes + 1) });
    expect({ status, reason }).toEqual({ status: 429, reason: "TOO_LARGE" });
    expect(JSON.stringify(json)).toContain(`"limit_bytes":"${maxValueBytes}"`);
    expect(JSON.stringify(json)).toContain(`"actual_bytes":"${maxValueBytes + 1}"`);
  });

  it("takes a transaction of exactly the limit, and refuses one byte more", async () => {
    const { endpoint } = await startRuntime();
    const half = stateLimits.maxTransactionBytes / 2;
    const transaction = (extra: number) => ({
      operations: [
        { set: { key: "a", value: base64(half - 1) } },
        { set: { key: "b", value: base64(half - 1 + extra) } },
      ],
    });
    expect((await callState(endpoint, "Transact", transaction(0))).status).toBe(200);
    const { reason, json } = await callState(endpoint, "Transact", transaction(1));
    expect(reason).toBe("TOO_LARGE");
    expect(JSON.stringify(json)).toContain(`"actual_bytes":"${stateLimits.maxTransactionBytes + 1}"`);
  });

  it("names every field that is wrong, in proto names", async () => {
    const { endpoint } = await startRuntime();
    const set = await callState(endpoint, "Set", {
      key: "",
      contentType: "x".repeat(257),
      ttl: "-1s",
      requestId: "x".repeat(129),
      precondition: {},
    });
    expect(set.fields).toEqual(["key", "content_type", "ttl", "precondition", "request_id"]);
    const transact = await callState(endpoint, "Transact", {
      operations: [
        {},
        { set: { key: "a", precondition: { absent: false } } },
        { delete: { key: "a", precondition: { absent: true } } },
        { check: { key: "b" } },
        { set: { key: "", precondition: { etag: "" } } },
      ],
    });
    expect(transact.fields).toEqual([
      "operations[0]",
      "operations[1].set.precondition.absent",
      "operations[2].delete.key",
      "operations[2].delete.precondition.absent",
      "operations[3].check.precondition",
      "operations[4].set.key",
      "operations[4].set.precondition.etag",
    ]);
  });

  it.each([
    ["GetMany", { keys: [] }, "keys"],
    ["GetMany", { keys: Array.from({ length: 1001 }, (_, i) => `k${i}`) }, "keys"],
    ["GetMany", { keys: ["a", ""] }, "keys[1]"],
    ["Transact", { operations: [] }, "operations"],
    ["Transact", { operations: Array.from({ length: 129 }, (_, i) => ({ delete: { key: `k${i}` } })) }, "operations"],
    ["List", { pageSize: 1001 }, "page_size"],
    ["List", { pageSize: -1 }, "page_size"],
    ["List", { prefix: "x".repeat(513) }, "prefix"],
    ["List", { pageToken: "nonsense" }, "page_token"],
    ["Set", { key: "k", ttl: "0s" }, "ttl"],
    ["Set", { key: "k", ttl: "315360001s" }, "ttl"],
    ["Delete", { key: "k", precondition: { absent: true } }, "precondition.absent"],
  ])("refuses %s %j and names %s", async (method, request, field) => {
    const { endpoint } = await startRuntime();
    const { status, reason, fields } = await callState(endpoint, method, request);
    expect({ status, reason, fields }).toEqual({ status: 400, reason: "BAD_REQUEST", fields: [field] });
  });

  it("refuses JSON that is none or has a field it does not know, broken protobuf and messages too large to be read, and serves on", async () => {
    const { endpoint } = await startRuntime();
    for (const body of ['{"key":', '{"kez":"a"}', '{"key":5}', "[]"]) {
      const { status, json, reason } = await callState(endpoint, "Get", body);
      expect({ status, code: json.code, reason }).toEqual({
        status: 400,
        code: "invalid_argument",
        reason: "BAD_REQUEST",
      });
    }
    const broken = await fetch(`${endpoint}/mecha.state.v1.StateService/Get`, {
      method: "POST",
      headers: { "content-type": "application/proto" },
      body: new Uint8Array([0x12, 0x7f, 1]),
    });
    expect(broken.status).toBe(400);
    expect(await broken.text()).toContain("BAD_REQUEST");
    const huge = await callState(endpoint, "Set", { key: "k", value: base64(12 * 1024 * 1024) });
    expect({ status: huge.status, reason: huge.reason }).toEqual({ status: 429, reason: "TOO_LARGE" });
    expect(huge.json.message).toMatch(/^the request is \d+ bytes; the runtime reads at most \d+$/);
    expect((await callState(endpoint, "Get", { key: "a" })).status).toBe(200);
  });
});
