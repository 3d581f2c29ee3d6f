import { type ClientHttp2Stream, constants } from "node:http2";
import type { Message } from "@bufbuild/protobuf";
import { Code, ConnectError, type StreamResponse } from "@connectrpc/connect";
import { toAbortError } from "../call/end.js";
import { isPromise, normalize } from "../call/invoke.js";
import { MessageQueue } from "../call/message-queue.js";
import { toByteSink } from "../wire/byte-sink.js";
import { compressedFlag, type Envelope } from "../wire/envelope.js";
import { EnvelopeWriter } from "../wire/envelope-writer.js";
import { MessageReader } from "../wire/message-reader.js";
import type { ClientConfig } from "./config.js";
import { openHttp2 } from "./http2-exchange.js";
import type { Http2Sessions } from "./http2-sessions.js";
import type { OutgoingCall } from "./outgoing-call.js";
import type { StreamDialect, StreamEnd } from "./stream-dialect.js";

/** So many decoded messages wait for the caller before the server is made to wait. */
const readAhead = 64;

/** Makes a call with a stream in either direction or both. Resolves when the response's head is there. */
export function callStream(
  config: ClientConfig,
  sessions: Http2Sessions,
  dialect: StreamDialect,
  call: OutgoingCall,
  input: AsyncIterable<object>,
): Promise<StreamResponse> {
  return new Promise((resolve, reject) => {
    if (call.signal?.aborted) throw toAbortError(call.signal.reason);
    const { method } = call;
    const sending = input[Symbol.asyncIterator]();
    const trailer = new Headers();
    let stream: ClientHttp2Stream | undefined;
    const queue = new MessageQueue<Message>(
      () => {
        if (stream?.isPaused()) stream.resume();
      },
      () => stream?.close(constants.NGHTTP2_CANCEL),
    );
    let end: StreamEnd | undefined;
    let reader: MessageReader | undefined;
    const fail = (error: ConnectError) => {
      // Whoever still sends learns why nobody listens any more.
      void sending.throw?.(error)?.then(undefined, ignore);
      void sending.return?.()?.then(undefined, ignore);
      if (end === undefined) reject(error);
      else queue.fail(error);
    };
    const breakOff = (reason: unknown) => {
      fail(ConnectError.from(reason, Code.Internal));
      stream?.close(constants.NGHTTP2_CANCEL);
    };
    let trailers = {};
    const sink = {
      push: (message: Message) => queue.push(message),
      fail: breakOff,
      end() {
        try {
          end?.finish(trailers).forEach((value, name) => {
            trailer.append(name, value);
          });
        } catch (error) {
          fail(ConnectError.from(error));
          return;
        }
        void sending.return?.()?.then(undefined, ignore);
        queue.end();
      },
    };
    openHttp2(sessions, call, dialect.requestHeaders(config, call), {
      open(opened) {
        stream = opened;
        void sendAll(config, call, opened, sending, breakOff);
      },
      response(head) {
        try {
          const started = dialect.startReading(config, head);
          end = started;
          const special = started.special && ((envelope: Envelope) => started.special?.(envelope) === true);
          reader = new MessageReader(call.client.output, started.compression, config.readMaxBytes, sink, special);
          const { header } = started;
          resolve({ stream: true, service: method.parent, method, header, trailer, message: queue } as StreamResponse);
        } catch (error) {
          breakOff(error);
        }
      },
      data(chunk) {
        reader?.read(chunk);
        if (queue.size >= readAhead) stream?.pause();
      },
      end(received) {
        trailers = received;
        if (reader) reader.end();
        else fail(new ConnectError("protocol error: the response has no head", Code.Internal));
      },
      fail,
    });
  });
}

/** Sends the caller's messages, one write for those of one turn, as fast as the server reads them. */
async function sendAll(
  config: ClientConfig,
  call: OutgoingCall,
  stream: ClientHttp2Stream,
  sending: AsyncIterator<object>,
  breakOff: (reason: unknown) => void,
): Promise<void> {
  const writer = new EnvelopeWriter(toByteSink(stream));
  try {
    for (;;) {
      const result = await sending.next();
      if (result.done === true) break;
      const encoded = encode(config, call, normalize(call.method.input, result.value));
      const envelope = isPromise(encoded) ? await encoded : encoded;
      if (stream.destroyed || stream.closed) return;
      if (writer.write(envelope)) {
        writer.flush();
        await writer.drained();
      }
    }
    writer.flush();
    if (!stream.destroyed && !stream.closed) stream.end();
  } catch (error) {
    breakOff(ConnectError.from(error, Code.Internal));
  }
}

/** Encodes a message as the config says. */
export function encode(config: ClientConfig, call: OutgoingCall, message: Message): Envelope | Promise<Envelope> {
  const data = call.client.input.serialize(message);
  const { sendCompression, compressMinBytes } = config;
  if (sendCompression === undefined || data.length < compressMinBytes) return { flags: 0, data };
  const compressed = sendCompression.compress(data);
  if (compressed instanceof Uint8Array) return { flags: compressedFlag, data: compressed };
  return compressed.then((bytes) => ({ flags: compressedFlag, data: bytes }));
}

function ignore(): void {}
