import { create } from "@bufbuild/protobuf";
import { DurationSchema, timestampDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "@mecha/api/rpc";
import {
  DeleteRequestSchema,
  GetRequestSchema,
  type Item,
  PreconditionSchema,
  SetRequestSchema,
} from "@mecha/api/state";
import { ComponentError, stateLimits } from "@mecha/component";
import { abortOnClose, type HttpRequest, type HttpResponse, readBody, send, sendError } from "../../server/http.js";
import { fromComponentError } from "../../telemetry/errors.js";
import type { Door } from "../block.js";
import { parseDurationHeader } from "../duration-header.js";
import { badRequest } from "../validation.js";
import { matchesEtag, parseEtags, toPrecondition } from "./conditions.js";
import type { StateServiceImpl } from "./service.js";
import { valueTooLarge } from "./validate.js";

const prefix = "/state/";

/** What was stored is data: a page that someone stored must not run as one of this origin. */
const inert = {
  "cache-control": "no-cache",
  "content-security-policy": "sandbox; default-src 'none'",
  "x-content-type-options": "nosniff",
};

type Handler = (request: HttpRequest, response: HttpResponse) => Promise<void>;

/** `GET|HEAD|PUT|DELETE /state/<key>[?store=name]`: the state service for whatever speaks plain HTTP. */
export function createStateDoor(service: StateServiceImpl): Door {
  const read: Handler = async (request, response) => {
    const message = create(GetRequestSchema, target(request));
    const { item } = await service.get(message, { signal: abortOnClose(response) });
    if (item === undefined) throw new ComponentError("NOT_EXISTS", `there is no item with key "${message.key}"`);
    const ifMatch = parseEtags(request, "if-match");
    if (ifMatch !== undefined && !matchesEtag(ifMatch, item.etag, "strong")) {
      throw new ComponentError("ETAG_MISMATCH", `the item's etag is "${item.etag}"`);
    }
    const ifNoneMatch = parseEtags(request, "if-none-match");
    if (ifNoneMatch !== undefined && matchesEtag(ifNoneMatch, item.etag, "weak")) send(response, 304, headersOf(item));
    else {
      const headers = { ...headersOf(item), "content-length": String(item.value.byteLength) };
      send(response, 200, headers, request.method === "HEAD" ? undefined : item.value);
    }
  };

  const put: Handler = async (request, response) => {
    const { store, key } = target(request);
    const precondition = toPrecondition(request);
    const ttl = parseDurationHeader(request, "mecha-ttl");
    if (request.headers["content-encoding"] !== undefined) {
      throw badRequest([
        { field: "content-encoding", description: "is not kept; send the value as it is to be stored" },
      ]);
    }
    const value = await readBody(request, stateLimits.maxValueBytes, (actual) => valueTooLarge(key, actual));
    const message = create(SetRequestSchema, { store, key, value, contentType: request.headers["content-type"] ?? "" });
    if (precondition !== undefined) message.precondition = create(PreconditionSchema, precondition);
    if (ttl !== undefined) message.ttl = create(DurationSchema, ttl);
    const { etag } = await service.set(message, { signal: abortOnClose(response) });
    send(response, 204, { etag: `"${etag}"` });
  };

  const remove: Handler = async (request, response) => {
    const message = create(DeleteRequestSchema, target(request));
    const precondition = toPrecondition(request);
    if (precondition !== undefined) message.precondition = create(PreconditionSchema, precondition);
    await service.delete(message, { signal: abortOnClose(response) });
    send(response, 204, {});
  };

  // A map: HTTP/2 carries any method, "constructor" too.
  const methods = new Map<string, Handler>([
    ["GET", read],
    ["HEAD", read],
    ["PUT", put],
    ["DELETE", remove],
  ]);
  return {
    prefix,
    async handle(request, response) {
      const method = methods.get(request.method ?? "");
      if (method === undefined) {
        send(response, 405, { allow: [...methods.keys()].join(", ") });
        return;
      }
      try {
        await method(request, response);
      } catch (error) {
        const answer = error instanceof ComponentError ? fromComponentError(error) : error;
        if (!(answer instanceof ConnectError)) throw error;
        await sendError(response, answer, { status: statusOf(answer, request.method ?? "") });
      }
    },
  };
}

/** The key is all of the path after the prefix, percent-decoded; the store is in the query. */
function target(request: HttpRequest): { store: string; key: string } {
  const url = request.url ?? "";
  const question = url.indexOf("?");
  const path = question < 0 ? url : url.slice(0, question);
  const query = new URLSearchParams(question < 0 ? "" : url.slice(question + 1));
  try {
    return { store: query.get("store") ?? "", key: decodeURIComponent(path.slice(prefix.length)) };
  } catch {
    throw badRequest([{ field: "key", description: "is not percent-encoded UTF-8" }]);
  }
}

function headersOf(item: Item): Record<string, string> {
  // A content type is any text to the block; what no header can carry is left to the octet stream that it is.
  const contentType = /^[\t\x20-\x7e]+$/.test(item.contentType) ? item.contentType : "application/octet-stream";
  return {
    ...inert,
    "content-type": contentType,
    etag: `"${item.etag}"`,
    ...(item.updateTime && { "last-modified": timestampDate(item.updateTime).toUTCString() }),
    ...(item.expireTime && { "mecha-expire-time": timestampDate(item.expireTime).toISOString() }),
  };
}

/** The statuses that plain HTTP has for what Connect has a code for; undefined leaves the code's own. */
function statusOf(error: ConnectError, method: string): number | undefined {
  const [info] = error.findDetails(ErrorInfoSchema);
  if (info?.reason === "NOT_EXISTS" && (method === "GET" || method === "HEAD")) return 404;
  const conditional = [Code.Aborted, Code.AlreadyExists, Code.FailedPrecondition];
  return conditional.includes(error.code) ? 412 : undefined;
}
