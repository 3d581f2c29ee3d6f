import {
  type DescMessage,
  fromBinary,
  fromJsonString,
  type JsonReadOptions,
  type JsonWriteOptions,
  type Message,
  toBinary,
  toJsonString,
} from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { createJsonWriter } from "./json-writer.js";
import { readLimitError, writeLimitError } from "./limits.js";

/** Reads and writes the messages of one type in one format. */
export interface Codec {
  parse(bytes: Uint8Array): Message;
  serialize(message: Message): Uint8Array;
}

/** Options of codecs. */
export interface CodecOptions {
  readonly readMaxBytes: number;
  readonly writeMaxBytes: number;
  readonly jsonOptions?: Partial<JsonReadOptions & JsonWriteOptions> | undefined;
  /** Whose fault binary data is that cannot be read: the caller's (`InvalidArgument`), or default: this side's (`Internal`). */
  readonly unreadable?: Code;
}

/** Both codecs of a message type. */
export interface Codecs {
  readonly binary: Codec;
  readonly json: Codec;
}

/** Makes codecs, once per type. */
export function createCodecs(schema: DescMessage, options: CodecOptions): Codecs {
  return { binary: createBinaryCodec(schema, options), json: createJsonCodec(schema, options) };
}

function createBinaryCodec(schema: DescMessage, options: CodecOptions): Codec {
  const { readMaxBytes, writeMaxBytes, unreadable = Code.Internal } = options;
  return {
    parse(bytes) {
      if (bytes.length > readMaxBytes) throw readLimitError(readMaxBytes, bytes.length);
      try {
        return fromBinary(schema, bytes);
      } catch (error) {
        throw new ConnectError(`parse binary: ${toMessage(error)}`, unreadable);
      }
    },
    serialize(message) {
      let bytes: Uint8Array;
      try {
        bytes = toBinary(schema, message);
      } catch (error) {
        throw new ConnectError(`serialize binary: ${toMessage(error)}`, Code.Internal);
      }
      if (bytes.length > writeMaxBytes) throw writeLimitError(writeMaxBytes, bytes.length);
      return bytes;
    },
  };
}

/** Fatal: bytes replaced by U+FFFD would make one key of two. */
const decoder = new TextDecoder("utf-8", { fatal: true });

function createJsonCodec(schema: DescMessage, { readMaxBytes, writeMaxBytes, jsonOptions }: CodecOptions): Codec {
  const options = { ignoreUnknownFields: true, ...jsonOptions };
  const write = changesWriting(options) ? undefined : createJsonWriter(schema);
  return {
    parse(bytes) {
      if (bytes.length > readMaxBytes) throw readLimitError(readMaxBytes, bytes.length);
      try {
        return fromJsonString(schema, decoder.decode(bytes), options);
      } catch (error) {
        throw ConnectError.from(error, Code.InvalidArgument);
      }
    },
    serialize(message) {
      let text: string;
      try {
        text = write ? write(message) : toJsonString(schema, message, options);
      } catch (error) {
        throw ConnectError.from(error, Code.Internal);
      }
      const bytes = Buffer.from(text);
      if (bytes.length > writeMaxBytes) throw writeLimitError(writeMaxBytes, bytes.length);
      return bytes;
    },
  };
}

function changesWriting(options: Partial<JsonWriteOptions>): boolean {
  const { alwaysEmitImplicit, enumAsInteger, useProtoFieldName, registry } = options;
  return Boolean(alwaysEmitImplicit || enumAsInteger || useProtoFieldName || registry);
}

function toMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
