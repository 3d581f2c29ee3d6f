import { credsAuthenticator, type NodeConnectionOptions, nkeyAuthenticator } from "@nats-io/transport-node";
import { addressOf, type NatsConfig } from "./config.js";

/** How connections are made. */
export interface Dialing {
  readonly options: NodeConnectionOptions;
  /** The first server, as errors name it: without what logs in. */
  readonly address: string;
  readonly requestTimeoutMs: number;
}

/** What a configuration means for connections: its own username, password and token come before those in the URL. */
export function resolveDialing(config: NatsConfig, name: string): Dialing {
  const { protocol, username, password } = new URL(config.url);
  const user = config.username ?? (decodeURIComponent(username) || undefined);
  const pass = config.password ?? (decodeURIComponent(password) || undefined);
  // A URL with a user and no password holds a token: so say NATS' own tools.
  const token = config.token ?? (pass === undefined && config.username === undefined ? user : undefined);
  const isTls = [config.url, ...config.servers].some((url) => new URL(url).protocol === "tls:") || protocol === "tls:";
  return {
    address: addressOf(config.url),
    requestTimeoutMs: config.requestTimeoutMs,
    options: {
      servers: [config.url, ...config.servers].map(addressOf),
      name: `mecha ${name}`,
      noRandomize: true,
      // The connection keeps itself up, so that what was sent and not answered is known.
      reconnect: false,
      timeout: config.connectTimeoutMs,
      // Half of the limit, twice: a server that says nothing is given up when it is over.
      pingInterval: Math.ceil(config.requestTimeoutMs / 2),
      maxPingOut: 2,
      noAsyncTraces: true,
      ...login({ user, pass, token }, config),
      ...(isTls && { tls: { handshakeFirst: false, ...given(config.tls) } }),
    },
  };
}

function login(
  { user, pass, token }: { user: string | undefined; pass: string | undefined; token: string | undefined },
  { credentials, nkeySeed }: NatsConfig,
): NodeConnectionOptions {
  const encode = (text: string) => new TextEncoder().encode(text);
  if (credentials !== undefined) return { authenticator: credsAuthenticator(encode(credentials)) };
  if (nkeySeed !== undefined) return { authenticator: nkeyAuthenticator(encode(nkeySeed.trim())) };
  if (token !== undefined) return { token };
  if (user !== undefined) return { user, ...(pass !== undefined && { pass }) };
  return {};
}

function given(tls: NatsConfig["tls"]): { ca?: string; cert?: string; key?: string } {
  return Object.fromEntries(Object.entries(tls ?? {}).filter(([, value]) => value !== undefined));
}
