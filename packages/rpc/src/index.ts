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
} from "./options.js";
export { encodeRefusal, type Refusal } from "./server/refuse.js";
export { serve } from "./server/serve.js";
