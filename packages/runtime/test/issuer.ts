import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import { onTestFinished } from "vitest";

/** An issuer of tokens, with its keys on an HTTP server. */
export interface TestIssuer {
  /** `iss`, and where its configuration is. */
  readonly url: string;
  readonly jwksUrl: string;
  /** How often its keys were asked for. */
  readonly asked: number;
  /** Signs a token, good for a minute from `now`, with the newest key. */
  sign(claims: Record<string, unknown>, header?: Record<string, unknown>): Promise<string>;
  /** Takes a new key in the place of the old one. */
  rotate(): Promise<void>;
  /** Answers no more, or again. */
  setAway(away: boolean): void;
  publicKeys(): { keys: JWK[] };
}

export async function startIssuer(now: () => number = Date.now): Promise<TestIssuer> {
  let asked = 0;
  let away = false;
  let generation = 0;
  const makeKey = async () => {
    generation += 1;
    const { publicKey, privateKey } = await generateKeyPair("ES256");
    return { privateKey, kid: `key-${generation}`, jwk: { ...(await exportJWK(publicKey)), kid: `key-${generation}` } };
  };
  let key = await makeKey();
  const server = createServer((request, response) => {
    if (away) return void response.writeHead(500).end();
    if (request.url === "/jwks") {
      asked += 1;
      return void response.end(JSON.stringify({ keys: [key.jwk] }));
    }
    response.end(JSON.stringify({ issuer: url, jwks_uri: `${url}/jwks` }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    jwksUrl: `${url}/jwks`,
    get asked() {
      return asked;
    },
    sign(claims, header = {}) {
      const seconds = Math.floor(now() / 1000);
      return new SignJWT({ iss: url, aud: "shop", exp: seconds + 60, ...claims })
        .setProtectedHeader({ alg: "ES256", kid: key.kid, ...header })
        .sign(key.privateKey);
    },
    async rotate() {
      key = await makeKey();
    },
    setAway(next) {
      away = next;
    },
    publicKeys: () => ({ keys: [key.jwk] }),
  };
}
