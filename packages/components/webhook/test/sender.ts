import { createHmac } from "node:crypto";
import type { Component, EndpointResponse } from "@mecha/component";

/** What a sender puts on the wire. */
export interface Sent {
  readonly body: string;
  readonly headers: Record<string, string>;
}

const mac = (secret: string | Buffer, text: string) => createHmac("sha256", secret).update(text).digest();

/** As GitHub signs. */
export function signPlain(body: string, secret: string): Sent {
  return { body, headers: { "x-hub-signature-256": `sha256=${mac(secret, body).toString("hex")}` } };
}

/** As Stripe signs. */
export function signStripe(body: string, secret: string, timeMs: number): Sent {
  const time = Math.floor(timeMs / 1000);
  return {
    body,
    headers: { "stripe-signature": `t=${time},v1=${mac(secret, `${time}.${body}`).toString("hex")},v0=00` },
  };
}

/** As the Standard Webhooks say. */
export function signStandard(body: string, secret: string, id: string, timeMs: number): Sent {
  const time = Math.floor(timeMs / 1000);
  const key = Buffer.from(secret.replace("whsec_", ""), "base64");
  return {
    body,
    headers: {
      "webhook-id": id,
      "webhook-timestamp": String(time),
      "webhook-signature": `v1,AAAA v1,${mac(key, `${id}.${time}.${body}`).toString("base64")}`,
    },
  };
}

/** Posts to the component's endpoint, as the runtime hands it over. */
export async function post(
  component: Component,
  { body, headers }: Sent,
  signal = new AbortController().signal,
  method = "POST",
): Promise<EndpointResponse> {
  const { endpoint } = component.blocks.binding ?? {};
  if (endpoint === undefined) throw new Error("a webhook has an endpoint");
  return endpoint.handle({
    keyspace: "default/shop",
    method,
    path: "/x?y=1",
    headers,
    body: Buffer.from(body),
    signal,
  });
}
