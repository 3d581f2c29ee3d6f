export { createInProcessTransport } from "./in-process.js";
export type {
  FallbackHandler,
  InProcessTransportOptions,
  ListenOptions,
  RequestHead,
  RpcServer,
  ServeOptions,
  ServerLimits,
  ServerTlsOptions,
  TransportOptions,
} from "./options.js";
export { serve } from "./serve.js";
export { createTransport } from "./transport.js";
