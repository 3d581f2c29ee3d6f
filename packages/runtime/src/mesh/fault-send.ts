import { Writable } from "node:stream";
import { Code, ConnectError } from "@connectrpc/connect";
import { encodeRefusal } from "@mecha/rpc";
import { codeOf } from "../telemetry/errors.js";
import type { Send } from "./exchange.js";
import type { HeaderMap } from "./headers.js";

/** What an injected fault answers: an HTTP status, or a code in the form of the call's protocol. */
export interface FaultAnswer {
  readonly status?: number | undefined;
  readonly code?: string | undefined;
}

/** Answers as an instance would that has the fault. */
export function faultSend({ status, code }: FaultAnswer, contentType: string, policy: string): Send {
  const message = `a fault that policy "${policy}" injects`;
  return ({ method }, answer) => {
    const { body, ...head } = code === undefined ? plain(status ?? 503, message) : encoded(code, contentType, message);
    queueMicrotask(() =>
      answer.responded({ ...head, body: method === "HEAD" ? new Uint8Array() : body, trailers: () => ({}) }),
    );
    const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
    return { body: nowhere, finish() {}, cancel() {} };
  };
}

function plain(status: number, message: string) {
  const headers: HeaderMap = { "content-type": "text/plain; charset=utf-8" };
  return { status, headers, body: Buffer.from(`${message}\n`) };
}

function encoded(name: string, contentType: string, message: string) {
  const refusal = encodeRefusal(contentType, new ConnectError(message, codeOf(name) ?? Code.Unknown));
  const headers: HeaderMap = {};
  for (let index = 0; index < refusal.headers.length; index += 2) {
    headers[refusal.headers[index] as string] = refusal.headers[index + 1] as string;
  }
  return { status: refusal.status, headers, body: refusal.body };
}
