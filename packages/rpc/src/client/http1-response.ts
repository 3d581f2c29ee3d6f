import { Code, ConnectError } from "@connectrpc/connect";
import { readFields } from "../wire/http1-fields.js";
import { LastRead } from "../wire/last-read.js";

const maxHeadBytes = 64 * 1024;
/** So many words before the response are listened to. */
const maxInformations = 1000;
const headEnd = Buffer.from("\r\n\r\n");
const lineEnd = Buffer.from("\r\n");

/** What a response's head says about it. */
export interface Http1ResponseHead {
  readonly status: number;
  /** Names, in lower case, and values in turn, as they came. */
  readonly fields: readonly string[];
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
  readonly contentLength: number | undefined;
  readonly chunked: boolean;
  /** Whether the connection can take another request after it, and for how long if the server says. */
  readonly keepAlive: boolean;
  readonly keepAliveMs: number | undefined;
  /** What whoever reads it has made of its headers: for the next one that is the same. */
  made?: unknown;
}

/** Who is told of a response while it is read. What they throw ends the connection. */
export interface Http1ResponseSink {
  /** A word before the response (1xx). */
  information(head: Http1ResponseHead): void;
  /** The response begins; `bodiless` if no body follows. */
  begin(head: Http1ResponseHead, bodiless: boolean): void;
  /** A part of its body, which is valid for the moment. */
  data(part: Buffer): void;
}

/** What comes next of a response. */
type State = "head" | "sized" | "size" | "chunk" | "chunk-end" | "trailers" | "until-end" | "done";

/** Reads one response from the chunks of a connection, and keeps nothing of it but a part of a line. */
export class Http1ResponseReader {
  readonly #sink: Http1ResponseSink;
  /** Whether the request was a HEAD: then no body follows. */
  readonly #isHead: boolean;
  readonly #lastHead: LastRead<Http1ResponseHead>;
  #pending: Buffer | undefined;
  #state: State = "head";
  #head: Http1ResponseHead | undefined;
  /** Of the body, or the chunk at hand, this much has not come yet. */
  #left = 0;
  #informations = 0;
  #surplus: boolean = false;
  /** What came after a body in chunks: names and values in turn. */
  trailers: readonly string[] = [];

  /** @param lastHead of the connection: a server mostly repeats it, as long as its clock does */
  constructor(sink: Http1ResponseSink, isHead: boolean, lastHead: LastRead<Http1ResponseHead> = new LastRead()) {
    this.#sink = sink;
    this.#isHead = isHead;
    this.#lastHead = lastHead;
  }

  /** Bytes after a response belong to no request: such a connection cannot be trusted with another. */
  get keepAlive(): boolean {
    return this.#head?.keepAlive === true && !this.#surplus;
  }

  get keepAliveMs(): number | undefined {
    return this.#head?.keepAliveMs;
  }

  /** Takes a chunk; says whether the response is whole. Throws when it is none. */
  read(chunk: Buffer): boolean {
    const buffer = this.#pending === undefined ? chunk : Buffer.concat([this.#pending, chunk]);
    this.#pending = undefined;
    let at = 0;
    while (at !== -1 && this.#state !== "done") {
      const next = this.#step(buffer, at);
      if (next === -1 && at < buffer.length) this.#pending = at === 0 ? buffer : buffer.subarray(at);
      at = next;
    }
    if (this.#state !== "done") return false;
    this.#surplus = at < buffer.length;
    return true;
  }

  /** The connection has ended: says whether that is the end of a body without a length. */
  end(): boolean {
    if (this.#state !== "until-end") return false;
    this.#surplus = true;
    return true;
  }

  /** Reads what is next; gives where it ends, or -1 if more must come first. */
  #step(buffer: Buffer, at: number): number {
    switch (this.#state) {
      case "head":
        return this.#readHead(buffer, at);
      case "sized":
      case "chunk":
      case "until-end":
        return this.#readData(buffer, at);
      case "size":
        return this.#readSize(buffer, at);
      case "chunk-end":
        if (buffer.length < at + 2) return -1;
        if (buffer.compare(lineEnd, 0, 2, at, at + 2) !== 0) throw malformed("a chunk is longer than its size");
        this.#state = "size";
        return at + 2;
      default:
        return this.#readTrailers(buffer, at);
    }
  }

  #readHead(buffer: Buffer, at: number): number {
    const known = this.#lastHead.find(buffer, at);
    if (known !== undefined) return this.#begin(known, at + this.#lastHead.length);
    const end = buffer.indexOf(headEnd, at);
    if ((end === -1 ? buffer.length : end) - at > maxHeadBytes) throw malformed("its head is too large");
    if (end === -1) return -1;
    const head = parseHead(buffer.toString("latin1", at, end + 2));
    const next = end + headEnd.length;
    if (head.status === 101) throw malformed("it changes the protocol, which nobody asked for");
    // Interim responses announce another one.
    if (head.status < 200) {
      if (++this.#informations > maxInformations) throw malformed("it does not come to an end");
      this.#sink.information(head);
      return next;
    }
    this.#lastHead.set(buffer, at, next, head);
    return this.#begin(head, next);
  }

  #begin(head: Http1ResponseHead, next: number): number {
    this.#head = head;
    const { status, contentLength, chunked } = head;
    const bodiless = this.#isHead || status === 204 || status === 304 || contentLength === 0;
    this.#left = contentLength ?? 0;
    this.#state = bodiless ? "done" : chunked ? "size" : contentLength === undefined ? "until-end" : "sized";
    this.#sink.begin(head, bodiless);
    return next;
  }

  #readData(buffer: Buffer, at: number): number {
    if (at === buffer.length) return -1;
    const end = this.#state === "until-end" ? buffer.length : Math.min(at + this.#left, buffer.length);
    this.#left -= end - at;
    const state = this.#state;
    if (state !== "until-end" && this.#left === 0) this.#state = state === "chunk" ? "chunk-end" : "done";
    this.#sink.data(buffer.subarray(at, end));
    return end;
  }

  #readSize(buffer: Buffer, at: number): number {
    const end = buffer.indexOf(lineEnd, at);
    if ((end === -1 ? buffer.length : end) - at > maxHeadBytes) throw malformed("a chunk's size is too long");
    if (end === -1) return -1;
    const text = buffer.toString("latin1", at, end).split(";", 1)[0]?.trim() ?? "";
    if (!/^[0-9a-f]{1,8}$/i.test(text)) throw malformed("a chunk's size is no number");
    this.#left = Number.parseInt(text, 16);
    this.#state = this.#left === 0 ? "trailers" : "chunk";
    return end + lineEnd.length;
  }

  /** After the last chunk come trailers, and an empty line. */
  #readTrailers(buffer: Buffer, at: number): number {
    if (buffer.length < at + 2) return -1;
    if (buffer[at] !== 0x0d) {
      const end = buffer.indexOf(headEnd, at);
      if ((end === -1 ? buffer.length : end) - at > maxHeadBytes) throw malformed("its trailers are too large");
      if (end === -1) return -1;
      this.trailers = fieldsOf(buffer.toString("latin1", at, end + 2), 0);
      this.#state = "done";
      return end + headEnd.length;
    }
    if (buffer[at + 1] !== 0x0a) throw malformed("its trailers are no lines");
    this.#state = "done";
    return at + 2;
  }
}

function fieldsOf(text: string, start: number): string[] {
  const fields: string[] = [];
  const areFields = readFields(text, start, (name, value) => fields.push(name, value) > 0);
  if (!areFields) throw malformed("a header line is none");
  return fields;
}

function parseHead(text: string): Http1ResponseHead {
  const firstEnd = text.indexOf("\r\n");
  const match = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: [^\r\n\0]*)?$/.exec(text.slice(0, firstEnd));
  if (match === null) throw malformed("it is no HTTP/1.1 response");
  let contentType: string | undefined;
  let contentEncoding: string | undefined;
  let contentLength: number | undefined;
  let chunked = false;
  let keepAlive = match[1] === "1";
  let keepAliveMs: number | undefined;
  const fields = fieldsOf(text, firstEnd + 2);
  for (let index = 0; index < fields.length; index += 2) {
    const value = fields[index + 1] as string;
    switch (fields[index]) {
      case "content-type":
        contentType = value;
        break;
      case "content-encoding":
        contentEncoding = value;
        break;
      case "content-length":
        if (!/^\d{1,15}$/.test(value) || contentLength !== undefined)
          throw malformed("its content-length is no length");
        contentLength = Number(value);
        break;
      case "transfer-encoding":
        if (value.toLowerCase() !== "chunked" || chunked) throw malformed(`its transfer-encoding is ${value}`);
        chunked = true;
        break;
      case "connection":
        if (/\bclose\b/i.test(value)) keepAlive = false;
        else if (/\bkeep-alive\b/i.test(value)) keepAlive = true;
        break;
      case "keep-alive": {
        const timeout = /\btimeout=(\d{1,6})\b/.exec(value);
        if (timeout) keepAliveMs = Number(timeout[1]) * 1000;
        break;
      }
    }
  }
  if (chunked && contentLength !== undefined) throw malformed("it has a length and comes in chunks");
  return {
    status: Number(match[2]),
    fields,
    contentType,
    contentEncoding,
    contentLength,
    chunked,
    keepAlive,
    keepAliveMs,
  };
}

function malformed(why: string): ConnectError {
  return new ConnectError(`protocol error: the server's response cannot be read: ${why}`, Code.Internal);
}
