export type { AnswerReader, HttpAnswer, WholeRequest } from "./client/http1-answer.js";
export { createHttp1Client, type Http1Client, type Http1ClientOptions } from "./client/http1-client.js";
export type { Http1Loss } from "./client/http1-connection.js";
export { createTransport, type RpcTransport } from "./client/transport.js";
export { createInProcessTransport } from "./in-process/transport.js";
export type {
  FallbackHandler,
  InProcessTransportOptions,
  ListenOptions,
  ProxyHandler,
  RequestHead,
  RpcServer,
  ServeOptions,
  ServerLimits,
  ServerTlsOptions,
  TransportOptions,
  WholeExchange,
} from "./options.js";
export { encodeRefusal, type Refusal } from "./server/refuse.js";
export { serve } from "./server/serve.js";
export { serveWhole, type WholeConnection, type WholeServing } from "./server/serve-whole.js";
export type { HeaderFields } from "./wire/http1-headers.js";
