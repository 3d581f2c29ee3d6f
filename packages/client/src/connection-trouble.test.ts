import { Code, ConnectError } from "@connectrpc/connect";
import { expect, it } from "vitest";
import { connectionTrouble } from "./connection-trouble.js";

const failed = (code: Code, cause?: unknown) => new ConnectError("x", code, undefined, undefined, cause);
const system = (code: string, syscall?: string) => Object.assign(new Error(code), { code, syscall });

it.each([
  ["nobody listens", failed(Code.Unavailable, system("ECONNREFUSED"))],
  ["there is no such socket", failed(Code.Internal, system("ENOENT", "connect"))],
  ["the connection took too long to make", failed(Code.Unavailable, system("ETIMEDOUT", "connect"))],
  ["there is no such name", failed(Code.Unavailable, system("ENOTFOUND"))],
  ["its certificate is not trusted", failed(Code.Unavailable, system("DEPTH_ZERO_SELF_SIGNED_CERT"))],
  ["its certificate is for another name", failed(Code.Unavailable, system("ERR_TLS_CERT_ALTNAME_INVALID"))],
  [
    "fetch found nobody, and Node says why",
    failed(Code.Unknown, new TypeError("fetch failed", { cause: system("ECONNREFUSED") })),
  ],
])("nothing was sent when %s", (_name, error) => {
  expect(connectionTrouble(error)).toBe("before");
});

it.each([
  ["it was reset", failed(Code.Aborted, system("ECONNRESET"))],
  ["its stream was torn down", failed(Code.Internal, system("ERR_HTTP2_STREAM_ERROR"))],
  ["it broke while writing", failed(Code.Internal, system("EPIPE", "write"))],
  ["a browser's fetch failed", failed(Code.Unknown, new TypeError("Failed to fetch"))],
  ["nothing more is known", failed(Code.Unavailable)],
])("it may have been done when the connection was made and %s", (_name, error) => {
  expect(connectionTrouble(error)).toBe("during");
});

it.each([
  ["an answer", failed(Code.NotFound)],
  ["a bug of the runtime's", failed(Code.Internal)],
  ["an error that is no call's", system("ENOENT", "open")],
  ["a bug of the caller's", new TypeError("x is not a function")],
  ["an error in a file", failed(Code.Unknown, Object.assign(new Error(), { code: "ERR_INVALID_ARG_TYPE" }))],
])("%s is no trouble with the connection", (_name, error) => {
  expect(connectionTrouble(error)).toBeUndefined();
});

it("ends with a cause that causes itself", () => {
  const cause = new Error("x");
  cause.cause = cause;
  expect(connectionTrouble(failed(Code.Internal, cause))).toBeUndefined();
});
